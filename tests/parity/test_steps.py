"""Training iterations against MATLAB's. The oracle is the same training in float64 numpy, by MATLAB's documented formulas."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from scipy.io import savemat

from bridge.commands import main
from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.network import Network
from bridge.parity.check import Check
from bridge.parity.steps import check_steps
from fixtures import layers as L
from fixtures import reference
from fixtures.layers import Net

NDArray = np.ndarray[Any, Any]
Load = Callable[..., Network]
OBSERVATIONS, RATE, DECAY = 5, 0.05, 0.01


def linear() -> Net:
    """Three values, two responses; the weights have an L2 factor of 1, the bias of 0."""
    rng = np.random.default_rng(3)
    return Net(
        "SeriesNetwork",
        (
            L.imageInputLayer((1, 1, 3), "in", "none"),
            L.fullyConnectedLayer(rng, "fc", (1, 1, 3), 2),
            L.regressionLayer("out"),
        ),
    )


def data() -> tuple[NDArray, NDArray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(OBSERVATIONS, 3)), rng.normal(size=(OBSERVATIONS, 2))


def gradients(w: NDArray, b: NDArray) -> tuple[float, NDArray, NDArray]:
    """Half the squared error of an observation, averaged; its gradients."""
    x, t = data()
    error = x @ w.T + b - t
    return float((error**2).sum() / (2 * OBSERVATIONS)), error.T @ x / OBSERVATIONS, error.mean(0)


def sgdm(w: NDArray, b: NDArray, count: int) -> list[tuple[float, NDArray, NDArray]]:
    """velocity = 0.9 velocity - rate (gradient + decay weight)."""
    found, speed = [], [np.zeros_like(w), np.zeros_like(b)]
    for _ in range(count):
        loss, dw, db = gradients(w, b)
        speed = [0.9 * speed[0] - RATE * (dw + DECAY * w), 0.9 * speed[1] - RATE * db]
        w, b = w + speed[0], b + speed[1]
        found.append((loss, w, b))
    return found


def adam(w: NDArray, b: NDArray, count: int, form: str, epsilon: float) -> list[tuple[float, NDArray, NDArray]]:
    """Both places of epsilon: A divides by sqrt(v_hat) + epsilon, B by sqrt(v) + epsilon."""
    found, m, v = [], [np.zeros_like(w), np.zeros_like(b)], [np.zeros_like(w), np.zeros_like(b)]
    for k in range(1, count + 1):
        loss, dw, db = gradients(w, b)
        steps = []
        for at, g in enumerate((dw + DECAY * w, db)):
            m[at], v[at] = 0.9 * m[at] + 0.1 * g, 0.999 * v[at] + 0.001 * g * g
            corrected = m[at] / (1 - 0.9**k)
            root = (
                np.sqrt(v[at] / (1 - 0.999**k)) + epsilon
                if form == "A"
                else (np.sqrt(v[at]) + epsilon) / np.sqrt(1 - 0.999**k)
            )
            steps.append(RATE * corrected / root)
        w, b = w - steps[0], b - steps[1]
        found.append((loss, w, b))
    return found


def write(
    folder: Path,
    network: Network,
    steps: list[tuple[float, NDArray, NDArray]],
    options: list[Any],
    rate: float = RATE,
    **changed: Any,
) -> Path:
    """Write reference.mat and reference.steps.mat; the learnables are rounded to single precision, as MATLAB's are."""
    x, t = data()
    layer = network.layers["fc"]
    w, b = layer.Weights.astype(float), layer.Bias.astype(float).reshape(-1)
    images = x.T.reshape(1, 1, 3, OBSERVATIONS)
    y = (x @ w.T + b).astype(np.float32)
    parameters = {("fc", "Weights"): layer.Weights, ("fc", "Bias"): layer.Bias}
    held = reference.reference(
        {"in": images}, {"out": y}, {"in": images, "fc": y.T.reshape(1, 1, 2, -1)}, parameters, {}
    )
    reference.write(folder / "reference.mat", held)

    def record(name: str, value: NDArray) -> dict[str, Any]:
        return {"Layer": "fc", "Parameter": name, **reference.record(np.asarray(value, np.float32))}

    def step(k: int, loss: float, w: NDArray, b: NDArray) -> dict[str, Any]:
        learnables = reference.column([record("Weights", w), record("Bias", b[:, None])])
        return {
            "Iteration": float(k),
            "Loss": loss,
            "LearnRate": rate,
            "Learnables": learnables,
            "State": reference.column([]),
        }

    loss, dw, db = gradients(w, b)
    content = {
        "Format": "bridge.steps/1", "Release": "2024b", "Toolbox": "24.2", "Kind": "SeriesNetwork",
        "Hardware": held["Hardware"], "Samples": 4000.0, "Seed": 1.0, "Trainer": "trainNetwork", "Loss": "mse", "Targets": t,
        "TrainingOptions": np.array([[*options]], dtype=object),
        "Gradients": {"Loss": loss, "Learnables": reference.column([record("Weights", dw), record("Bias", db[:, None])])},
        "Steps": reference.column([step(k, *each) for k, each in enumerate(steps, 1)]),
        **changed,
    }  # fmt: skip
    savemat(folder / "reference.steps.mat", {"steps": content}, long_field_names=True)
    return folder / "reference.steps.mat"


SGDM = ["sgdm", "InitialLearnRate", RATE, "L2Regularization", DECAY]


def start(network: Network) -> tuple[NDArray, NDArray]:
    return network.layers["fc"].Weights.astype(float), network.layers["fc"].Bias.astype(float).reshape(-1)


def test_steps_of_sgdm_agree(load: Load, tmp_path: Path) -> None:
    network = load(linear())
    found = check_steps(network, write(tmp_path, network, sgdm(*start(network), 3), SGDM))
    assert found.passed, found.verdict
    assert [each.layer for each in found.layers[:5]] == [
        "loss before training", "gradient of fc/Weights", "gradient of fc/Bias", "learn rate of iteration 1", "loss of iteration 1",
    ]  # fmt: skip
    assert found.verdict.startswith("PASSED 15 numbers, worst")


def test_what_matlab_did_not_move_may_not_move(load: Load, tmp_path: Path) -> None:
    """By hand: a rate of 1e-5 moves the bias by less than the tolerance of a layer of zeros; MATLAB's was frozen."""
    network = load(linear())
    w, b = start(network)
    options = ["sgdm", "InitialLearnRate", 1e-5, "L2Regularization", 0.0]
    loss, dw, _ = gradients(w, b)
    found = check_steps(network, write(tmp_path, network, [(loss, w - 1e-5 * dw, b)], options, rate=1e-5))
    assert found.first_divergence is not None and found.first_divergence.layer == "fc/Bias after iteration 1"


@pytest.mark.parametrize("form", ["A", "B"])
def test_the_place_of_epsilon_is_found(form: str, load: Load, tmp_path: Path) -> None:
    network = load(linear())
    options = ["adam", "InitialLearnRate", RATE, "L2Regularization", DECAY, "Epsilon", 0.1]
    path = write(tmp_path, network, adam(*start(network), 2, form, 0.1), options)
    assert check_steps(network, path, semantics={"adam_epsilon": form}).passed
    found = check_steps(network, path, semantics={"adam_epsilon": "B" if form == "A" else "A"})
    assert found.verdict.startswith("FIRST DIVERGENCE fc/Weights after iteration 1")
    assert found.cause is not None and found.cause.text.startswith(f"adam_epsilon is '{form}'")


def test_a_profile_settles_what_is_open(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = load(linear())
    steps = write(
        tmp_path,
        network,
        adam(*start(network), 2, "A", 0.1),
        ["adam", "InitialLearnRate", RATE, "L2Regularization", DECAY, "Epsilon", 0.1],
    )
    profile = tmp_path / "profile.toml"
    profile.write_text(
        'schema = "bridge.profile/1"\nname = "R2021a"\n[trainNetwork]\nadam_epsilon = "A"\n', encoding="utf-8"
    )
    for options, code in (([], 1), (["--training-profile", str(profile)], 0)):
        monkeypatch.setattr(
            sys, "argv", ["bridge", "check", str(network.source.path), "--steps", str(steps), "--json", *options]
        )
        with pytest.raises(SystemExit) as stop:
            main()
        facts = json.loads(capsys.readouterr().out)
        schema = json.loads((Path(__file__).parents[2] / "docs" / "check.schema.json").read_text(encoding="utf-8"))
        jsonschema.validate(facts, schema, jsonschema.Draft202012Validator)
        assert (stop.value.code or 0) == code and facts["facts"].get("training profile") == (
            "R2021a" if options else None
        )


def test_a_wrong_rate_shows_in_the_first_step(load: Load, tmp_path: Path) -> None:
    network = load(linear())
    steps = sgdm(*start(network), 2)
    options = ["sgdm", "InitialLearnRate", RATE * 1.01, "L2Regularization", DECAY]
    found = check_steps(network, write(tmp_path, network, steps, options))
    assert found.verdict.startswith("FIRST DIVERGENCE learn rate of iteration 1") and found.cause is None
    found = check_steps(network, write(tmp_path, network, steps, options, rate=RATE * 1.01))
    assert found.verdict.startswith("FIRST DIVERGENCE fc/Weights after iteration 1")


def test_a_decayed_bias_shows_though_it_has_hardly_moved(load: Load, tmp_path: Path) -> None:
    network = load(linear())
    steps = [(loss, w, b + 1e-5) for loss, w, b in sgdm(*start(network), 1)]
    found = check_steps(network, write(tmp_path, network, steps, SGDM))
    assert found.verdict.startswith("FIRST DIVERGENCE fc/Bias after iteration 1")


def test_the_command(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = load(linear())
    steps = write(tmp_path, network, sgdm(*start(network), 2), SGDM)
    (tmp_path / "recipe.toml").write_text(
        f'schema = "bridge.recipe/1"\ntrainer = "trainNetwork"\n[network]\nfile = "{Path(network.source.path).name}"\n[options]\nsolver = "sgdm"\n'
    )
    for file in (network.source.path, tmp_path / "recipe.toml"):
        monkeypatch.setattr(sys, "argv", ["bridge", "check", "--steps", str(steps), str(file)])
        with pytest.raises(SystemExit) as stop:
            main()
        assert not stop.value.code and capsys.readouterr().out.splitlines()[-1].startswith("PASSED 11 numbers")


def test_what_cannot_be_repeated_is_refused(load: Load, tmp_path: Path) -> None:
    network = load(linear())
    steps = sgdm(*start(network), 1)
    with pytest.raises(UnsupportedError, match="MATLAB code"):
        check_steps(network, write(tmp_path, network, steps, SGDM, Loss="@(Y,T)mae(Y,T)"))
    path = write(tmp_path, network, steps, SGDM)
    with pytest.raises(UnreadableError, match="no training steps"):
        check_steps(network, tmp_path / "reference.mat")
    (tmp_path / "reference.mat").unlink()
    with pytest.raises(UsageError, match=r"the inputs of reference\.steps\.mat are missing"):
        check_steps(network, path)


# Other data: the same oracle, float64 numpy


CLASSES, LABELS = ("yes", "no", "maybe"), ("no", "yes", "maybe", "no", "yes")


def record_steps(
    folder: Path,
    network: Network,
    inputs: Any,
    outputs: Any,
    targets: Any,
    loss: str,
    steps: list[tuple[float, NDArray, NDArray]],
    gradient: tuple[float, NDArray, NDArray],
    **changed: Any,
) -> Path:
    """Write what bridgeReference records of a network whose only learnables are fc/Weights and fc/Bias."""
    names, entry, end = ("Weights", "Bias"), network.layers[0].name, network.layers[-1].name
    parameters = {("fc", name): getattr(network.layers["fc"], name) for name in names}
    reference.write(folder / "reference.mat", reference.reference({entry: inputs}, {end: outputs}, {}, parameters, {}))

    def records(*values: NDArray) -> NDArray:
        shaped = (
            np.asarray(each, np.float32).reshape(parameters["fc", name].shape)
            for name, each in zip(names, values, strict=True)
        )
        return reference.column(
            [
                {"Layer": "fc", "Parameter": name, **reference.record(each)}
                for name, each in zip(names, shaped, strict=True)
            ]
        )

    content = {
        "Format": "bridge.steps/1", "Samples": 4000.0, "Seed": 1.0, "Trainer": "trainNetwork", "Loss": loss, "Targets": targets,
        "TrainingOptions": np.array([SGDM], dtype=object), "Gradients": {"Loss": gradient[0], "Learnables": records(*gradient[1:])},
        "Steps": reference.column([
            {"Iteration": float(k), "Loss": at, "LearnRate": RATE, "Learnables": records(w, b), "State": reference.column([])}
            for k, (at, w, b) in enumerate(steps, 1)
        ]),
        **changed,
    }  # fmt: skip
    savemat(folder / "reference.steps.mat", {"steps": content}, long_field_names=True)
    return folder / "reference.steps.mat"


def trained(
    network: Network, step: Callable[[NDArray, NDArray], tuple[float, NDArray, NDArray]], count: int
) -> list[tuple[float, NDArray, NDArray]]:
    """Return loss, weights and bias of each iteration: velocity = 0.9 velocity - rate (gradient + decay weight)."""
    (w, b), found, speed = start(network), [], [np.zeros(()), np.zeros(())]
    for _ in range(count):
        loss, dw, db = step(w, b)
        speed = [0.9 * speed[0] - RATE * (dw + DECAY * w), 0.9 * speed[1] - RATE * db]
        w, b = w + speed[0], b + speed[1]
        found.append((loss, w, b))
    return found


def test_steps_with_class_labels_agree(load: Load, tmp_path: Path) -> None:
    """Cross entropy of five observations: the gradient is (probability - truth) x' / N, the classes in the network's order."""
    entry, rng = L.featureInputLayer(3, "in", "none"), np.random.default_rng(1)
    head = (L.softmaxLayer("softmax"), L.classificationLayer("out", list(CLASSES)))
    network = load(Net("SeriesNetwork", (entry, L.fullyConnectedLayer(rng, "fc", 3, 3), *head)))
    x, truth = data()[0], np.eye(3)[[CLASSES.index(label) for label in LABELS]]

    def step(w: NDArray, b: NDArray) -> tuple[float, NDArray, NDArray]:
        scores = np.exp(x @ w.T + b)
        p = scores / scores.sum(1, keepdims=True)
        return float(-np.log(p[truth == 1]).mean()), (p - truth).T @ x / OBSERVATIONS, (p - truth).mean(0)

    before = step(*start(network))
    scores = np.exp(x @ start(network)[0].T + start(network)[1])
    labels = reference.column(list(LABELS))
    path = record_steps(
        tmp_path,
        network,
        x,
        scores / scores.sum(1, keepdims=True),
        labels,
        "crossentropy",
        trained(network, step, 3),
        before,
    )
    found = check_steps(network, path)
    assert found.passed, found.verdict
    assert found.verdict.startswith("PASSED 15 numbers") and found.layers[0].scale == pytest.approx(before[0], rel=1e-6)
    other = reference.column(["yes", *LABELS[1:]])
    path = record_steps(
        tmp_path,
        network,
        x,
        scores / scores.sum(1, keepdims=True),
        other,
        "crossentropy",
        trained(network, step, 3),
        before,
    )
    assert check_steps(network, path).verdict.startswith("FIRST DIVERGENCE loss before training")


@pytest.mark.parametrize("trainer", ["trainNetwork", "trainnet"])
def test_steps_with_sequences_agree(trainer: str, load: Load, tmp_path: Path) -> None:
    """trainNetwork: half the squared error of each time step; the log has the mean over the 4 steps, the gradient is that of
    their sum (proven). trainnet: the mean over all elements; its sequences are T x C, in the reference they are C x T.
    """
    rng, old = np.random.default_rng(2), trainer == "trainNetwork"
    layers = (
        L.sequenceInputLayer(3, "in"),
        L.fullyConnectedLayer(rng, "fc", 3, 2),
        *([L.regressionLayer("out")] if old else []),
    )
    network = load(Net("SeriesNetwork" if old else "dlnetwork", layers))
    x, t = rng.normal(size=(OBSERVATIONS, 3, 4)), rng.normal(size=(OBSERVATIONS, 2, 4))

    def step(w: NDArray, b: NDArray) -> tuple[float, NDArray, NDArray]:
        error = np.einsum("rc,nct->nrt", w, x) + b[:, None] - t
        loss, gradient = (
            ((error**2).sum() / (2 * 4), error) if old else ((error**2).sum() / (2 * 4), 2 * error / (2 * 4))
        )
        return (
            float(loss / OBSERVATIONS),
            np.einsum("nrt,nct->rc", gradient, x) / OBSERVATIONS,
            gradient.sum((0, 2)) / OBSERVATIONS,
        )

    w, b = start(network)
    outputs, steps = [np.asarray(w @ each + b[:, None], np.float32) for each in x], trained(network, step, 3)

    def check_with(targets: NDArray) -> Check:
        given = reference.column([each if old else each.T for each in targets])
        path = record_steps(tmp_path, network, list(x), outputs, given, "mse", steps, step(w, b), Trainer=trainer)
        return check_steps(network, path)

    found = check_with(t)
    assert found.passed, found.verdict
    assert found.verdict.startswith("PASSED 12 numbers") and "gradients over sequences were not compared" in found.notes
    assert check_with(t[:, :, ::-1]).verdict.startswith("FIRST DIVERGENCE loss of iteration 1")


def test_a_weight_between_the_samples_shows_in_the_mean(load: Load, tmp_path: Path) -> None:
    """MATLAB's third weight is another, and the two samples of six are of others."""
    network = load(linear())
    ((loss, w, _),) = sgdm(*start(network), 1)
    sampled = [each - 1 for each in reference.sample_indices(6, 2, 1)]
    position = next(at for at in range(6) if at not in sampled)
    moved = np.where(np.arange(6).reshape(2, 3, order="F") == position, w + 0.01, w)
    for theirs, verdict in ((w, "PASSED"), (moved, "FIRST DIVERGENCE fc/Weights after iteration 1")):
        held = {"Layer": "fc", "Parameter": "Weights", **reference.record(np.asarray(theirs, np.float32), samples=2)}
        steps = reference.column(
            [
                {
                    "Iteration": 1.0,
                    "Loss": loss,
                    "LearnRate": RATE,
                    "Learnables": reference.column([held]),
                    "State": reference.column([]),
                }
            ]
        )
        path = write(tmp_path, network, [], SGDM, Steps=steps, Samples=2.0, Gradients=np.empty((0, 0)))
        assert check_steps(network, path).verdict.startswith(verdict)


@pytest.mark.parametrize(
    "change",
    [
        {"Iteration": 5.0},
        {"Iteration": 1e12},
        {"LearnRate": "fast"},
        {"Loss": np.empty((0, 0))},
        {"Learnables": 3.0},
        {"Learnables": {"Value": "text"}},
        {"Learnables": {"Size": np.empty((0, 0))}},
        {"Learnables": {"Size": np.array([[1e6, 1e9]]), "Index": np.array([[1.0]])}},
        {"Learnables": {"Min": reference.column(["a"])}},
        {"Learnables": {"Full": np.array([["a"]], object)}},
    ],
    ids=str,
)
def test_steps_that_are_damaged_are_refused(change: dict[str, Any], load: Load, tmp_path: Path) -> None:
    network = load(linear())
    ((loss, w, _),) = sgdm(*start(network), 1)
    record = {"Layer": "fc", "Parameter": "Weights", **reference.record(np.asarray(w, np.float32))}
    learnables = change.get("Learnables", {})
    held = reference.column([{**record, **learnables}]) if isinstance(learnables, dict) else learnables
    step = {
        "Iteration": 1.0,
        "Loss": loss,
        "LearnRate": RATE,
        "State": reference.column([]),
        **change,
        "Learnables": held,
    }
    path = write(tmp_path, network, [], SGDM, Steps=reference.column([step]), Gradients=np.empty((0, 0)), Samples=1e9)
    with pytest.raises(UnreadableError):
        check_steps(network, path)
