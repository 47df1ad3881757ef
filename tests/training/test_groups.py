"""MATLAB's factors in parameter groups: of any torch optimizer, and of our solvers."""

from __future__ import annotations

import copy
import os
from typing import Any

import pytest
import torch
from torch import nn

from bridge.errors import UnsupportedError, UsageError
from bridge.modules.factors import ATTRIBUTE, Factors
from bridge.options.options import training_options
from bridge.training.groups import options_optimizer, param_groups
from bridge.training.solvers import SGDM, Adam, RMSProp
from tests.training import nets


def model(**factors: dict[str, Factors]) -> Any:
    """Two linear layers and a batch normalisation, with the factors given for "0", "1" and "2"."""
    torch.manual_seed(0)
    made = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    for index, values in factors.items():
        setattr(made[int(index[1:])], ATTRIBUTE, values)
    return made


TRANSFER: dict[str, dict[str, Factors]] = {
    "_0": {"weight": Factors("fc1/Weights", 0.0, 1.0), "bias": Factors("fc1/Bias", 0.0, 0.0)},
    "_2": {"weight": Factors("fc2/Weights", 20.0, 1.0), "bias": Factors("fc2/Bias", 20.0, 0.0)},
}
OPTIONS = training_options("sgdm", InitialLearnRate=0.01, L2Regularization=0.1)


def test_one_group_for_each_pair_of_factors() -> None:
    """By hand: 0.01 * 20, 0.1 * (1, 0); the frozen layer has no group, the batch normalisation no factors."""
    made = model(**TRANSFER)
    groups = param_groups(made, OPTIONS)
    plain = [{name: value for name, value in group.items() if name != "params"} for group in groups]
    assert plain == [
        {
            "param_names": ["1.weight", "1.bias"],
            "lr": 0.01,
            "weight_decay": 0.1,
            "without_factors": ["1.weight", "1.bias"],
        },
        {"param_names": ["2.weight"], "lr": 0.2, "weight_decay": 0.1, "without_factors": []},
        {"param_names": ["2.bias"], "lr": 0.2, "weight_decay": 0.0, "without_factors": []},
    ]
    assert [name for name, parameter in made.named_parameters() if not parameter.requires_grad] == [
        "0.weight",
        "0.bias",
    ]


@pytest.mark.parametrize("make", [torch.optim.SGD, torch.optim.Adam, torch.optim.RMSprop, torch.optim.NAdam])
def test_plain_torch_trains_with_them(make: Any) -> None:
    """A few steps of anyone's loop: the loss falls, the frozen layer stays."""
    made = model(**TRANSFER)
    before = copy.deepcopy(made)
    optimizer = make(param_groups(made, training_options("sgdm", InitialLearnRate=0.001, L2Regularization=1e-4)))
    x, y = torch.randn(64, 3), torch.randint(0, 2, (64,))
    losses = []
    for _ in range(30):
        loss = nn.functional.cross_entropy(made(x), y)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert torch.equal(made[0].weight, before[0].weight) and not torch.equal(made[2].weight, before[2].weight)


def test_plain_sgd_with_groups_is_sgdm_at_a_constant_rate() -> None:
    """Oracle: torch.optim.SGD, in float64 to rounding."""
    ours, theirs = model(**TRANSFER).double(), model(**TRANSFER).double()
    optimizers = (OPTIONS.optimizer(ours), torch.optim.SGD(param_groups(theirs, OPTIONS), momentum=0.9))
    x = torch.randn(16, 3, dtype=torch.float64)
    for _ in range(20):
        for each, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            each(x).square().mean().backward()
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-11, atol=1e-13)


def test_gates_need_our_own_solvers() -> None:
    lstm: Any = nn.Module()
    lstm.lstm = nn.LSTM(2, 3, batch_first=True)
    setattr(lstm.lstm, ATTRIBUTE, {"weight_ih_l0": Factors("lstm/InputWeights", (1.0, 2.0, 0.0, 1.0))})
    with pytest.raises(UsageError, match=r"options\.optimizer"):
        param_groups(lstm, OPTIONS)
    before = lstm.lstm.weight_ih_l0.detach().clone()
    optimizer = OPTIONS.replace(L2Regularization=0).optimizer(lstm)
    lstm.lstm(torch.ones(1, 2, 2))[0].sum().backward()
    optimizer.step()
    moved = (lstm.lstm.weight_ih_l0 - before) / lstm.lstm.weight_ih_l0.grad
    torch.testing.assert_close(
        moved[[0, 3, 9]].detach()[:, 0], -0.01 * torch.tensor([1.0, 2.0, 1.0]), rtol=1e-3, atol=0
    )
    assert torch.equal(lstm.lstm.weight_ih_l0[6:9], before[6:9])


def test_gates_that_agree_are_one_factor() -> None:
    made = model(_0={"weight": Factors("gru/InputWeights", (2.0,) * 4), "bias": Factors("gru/Bias", (0.0,) * 4)})
    groups = param_groups(made, OPTIONS)
    assert groups[0]["param_names"] == ["0.weight"] and groups[0]["lr"] == 0.02
    assert not made[0].bias.requires_grad


@pytest.mark.parametrize(
    ("solver", "kind", "settings"),
    [
        ("sgdm", SGDM, {"lr": 0.01, "momentum": 0.9, "l2": 1e-4}),
        ("adam", Adam, {"lr": 0.001, "betas": (0.9, 0.999), "eps": 1e-8, "form": "B"}),
        ("rmsprop", RMSProp, {"lr": 0.001, "decay": 0.9, "eps": 1e-8}),
    ],
)
def test_options_make_their_solver(solver: str, kind: type, settings: dict[str, Any]) -> None:
    options = training_options(solver, GradientThreshold=2, GradientThresholdMethod="absolute-value")
    optimizer = options.optimizer(model(**TRANSFER))
    assert type(optimizer) is kind
    assert (optimizer.clipping.method, optimizer.clipping.threshold, optimizer.clipping.after_l2) == (
        "absolute-value",
        2,
        True,
    )
    for group in optimizer.param_groups:
        assert {name: group[name] for name in settings} == settings
    assert [group["lr_factor"] for group in optimizer.param_groups] == [1.0, 20.0, 20.0]
    assert optimizer.param_groups[1]["paths"] == ["fc2/Weights"] and optimizer.param_groups[0]["paths"] == [
        "1.weight",
        "1.bias",
    ]


def test_a_profile_sets_the_form_of_adam() -> None:
    optimizer = training_options("adam", semantics={"adam_epsilon": "A", "l2_before_clipping": False}).optimizer(
        model()
    )
    assert optimizer.param_groups[0]["form"] == "A" and not optimizer.clipping.after_l2


@pytest.mark.parametrize("counts", [None, False, True])
def test_frozen_gradients_in_the_global_norm(counts: bool | None) -> None:
    """By hand: gradients 3 (trained) and 4 (frozen), threshold 1: the step is 1 alone, 3/5 where the frozen one counts.

    Unless told otherwise it does not (unconfirmed).
    """
    made: Any = nn.Module()
    made.a, made.b = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    setattr(made, ATTRIBUTE, {"a": Factors("x/Weights", 1.0), "b": Factors("y/Weights", 0.0)})
    options = training_options(
        "sgdm",
        InitialLearnRate=1,
        Momentum=0,
        GradientThreshold=1,
        GradientThresholdMethod="global-l2norm",
        semantics={} if counts is None else {"frozen_in_global_norm": counts},
    )
    optimizer = options.optimizer(made)
    assert made.b.requires_grad == bool(counts)
    (3 * made.a + 4 * made.b).sum().backward()
    optimizer.step()
    assert made.a.item() == pytest.approx(-0.6 if counts else -1.0, rel=1e-6) and made.b.item() == 0


def test_without_a_global_norm_the_frozen_need_no_gradient() -> None:
    made = model(**TRANSFER)
    training_options("sgdm", GradientThreshold=1, semantics={"frozen_in_global_norm": True}).optimizer(made)
    assert not made[0].weight.requires_grad


def test_both_directions_of_a_learnable_are_clipped_as_one() -> None:
    """By hand: gradients 3 and 4 under one path, threshold 1: 0.6 and 0.8; as two learnables both would be 1."""
    made: Any = nn.Module()
    made.forward_, made.backward_ = nn.Parameter(torch.zeros(1)), nn.Parameter(torch.zeros(1))
    setattr(made, ATTRIBUTE, {name: Factors("bilstm/Bias", 1.0, 0.0) for name in ("forward_", "backward_")})
    optimizer = training_options("sgdm", InitialLearnRate=1, Momentum=0, GradientThreshold=1).optimizer(made)
    (3 * made.forward_ + 4 * made.backward_).sum().backward()
    optimizer.step()
    assert [made.forward_.item(), made.backward_.item()] == pytest.approx([-0.6, -0.8], rel=1e-6)


def test_nothing_to_train_is_refused() -> None:
    made = model()
    made.requires_grad_(False)
    for make in (param_groups, options_optimizer):
        with pytest.raises(UsageError, match="nothing to train"):
            make(made, OPTIONS)


@pytest.mark.parametrize("solver", ["lbfgs", "lm"])
def test_full_batch_solvers_are_refused_by_name(solver: str) -> None:
    with pytest.raises(UnsupportedError, match=solver):
        training_options(solver).optimizer(model())
    with pytest.raises(UnsupportedError, match=solver):
        param_groups(model(), training_options(solver))


def test_a_network_is_no_module() -> None:
    for make in (param_groups, options_optimizer):
        with pytest.raises(UsageError, match="the model is a Network") as caught:
            make(nets.classifier(), OPTIONS)  # type: ignore[arg-type]
        assert "to_torch" in caught.value.hint


def summary(made: nn.Module) -> list[tuple[float, float, int]]:
    return [(group["lr"], group["weight_decay"], len(group["params"])) for group in param_groups(made, OPTIONS)]


def test_factors_survive_copies_and_wrapping() -> None:
    wanted = summary(model(**TRANSFER))
    assert summary(copy.deepcopy(model(**TRANSFER))) == wanted
    assert summary(nn.Sequential(model(**TRANSFER), nn.ReLU())) == wanted


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_factors_survive_ddp() -> None:
    """One process over gloo; names get DDP's prefix, factors stay, a step is taken."""
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    try:
        made = model(**TRANSFER)
        optimizer = OPTIONS.optimizer(made)  # freezes before DDP looks for what needs gradients
        wrapped = nn.parallel.DistributedDataParallel(made)
        assert summary(wrapped) == summary(made)
        assert param_groups(wrapped, OPTIONS)[1]["param_names"] == ["module.2.weight"]
        before = made[2].weight.detach().clone()
        wrapped(torch.randn(4, 3)).square().sum().backward()
        optimizer.step()
        assert not torch.equal(made[2].weight, before)
    finally:
        torch.distributed.destroy_process_group()
