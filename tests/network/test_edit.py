"""Edits of a network: freezing, factors, surgery, heads, input sizes; bad input; random sequences of edits stay networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bridge
from bridge import layers
from bridge.errors import BridgeError, UsageError
from bridge.modules.factors import learnables
from bridge.network import Network, check_structure
from bridge.network.edit import consistent
from tests.real import REAL, needs_real
from tests.recipes.nets import chain, facts, joined, names, residual, same, sequence

FILES = Path(__file__).parents[2] / "fixtures" / "files"


def factors(network: Network) -> dict[str, tuple[Any, Any]]:
    return {
        f"{layer.name}/{name}": (each.learn_rate_factor, each.l2_factor) for layer, name, each in network.learnables()
    }


# What is written by those who come from torch or from MATLAB's layer factors


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda net: net.set_learn_rate_factor("fc1", 20), "net = net.set_learn_rate_factor('fc1', 'Weights', 20)"),
        (lambda net: net.set_l2_factor("fc2", 0.5), "net = net.set_l2_factor('fc2', 'Weights', 0.5)"),
        (lambda net: net.set_learn_rate_factor("relu", 2), "`bridge inspect` shows which layers have some"),
        (lambda net: net(torch.zeros(1, 1, 8, 8)), "model = net.to_torch(); model(x)"),
    ],
)
def test_an_error_says_what_to_write_instead(call: Callable[[Network], Any], hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        call(chain())
    assert caught.value.hint == hint


@pytest.mark.parametrize("name", ["eval", "train", "parameters", "state_dict", "cuda", "to"])
def test_what_a_torch_module_has_and_a_network_has_not(name: str) -> None:
    with pytest.raises(AttributeError, match=rf"its torch module has: model = net.to_torch\(\); model.{name}\("):
        getattr(chain(), name)
    assert not hasattr(chain(), name) and hasattr(chain().to_torch(), name)


def test_other_names_are_plain_errors() -> None:
    with pytest.raises(AttributeError, match="^'Network' object has no attribute 'layer'$"):
        _ = chain().layer  # type: ignore[attr-defined]


# Freezing and factors


def test_the_newer_helper_freezes_every_factor_and_leaves_l2() -> None:
    """freezeWeights of today, freezeNetwork: every property that ends in LearnRateFactor (documented)."""
    before, after = factors(residual()), factors(residual().freeze(residual().layers[:3]))
    assert {name for name, (rate, _) in after.items() if rate == 0} == {
        "conv1/Weights",
        "conv1/Bias",
        "bn1/Offset",
        "bn1/Scale",
    }
    assert {name: decay for name, (_, decay) in after.items()} == {name: decay for name, (_, decay) in before.items()}


def test_the_older_helper_leaves_batch_normalisation_training_and_zeroes_l2() -> None:
    """The older freezeWeights: Weight and Bias factors, of rate and of L2 (documented)."""
    after = factors(residual().freeze(residual().layers[:3], batch_norm=False))
    assert after["conv1/Weights"] == after["conv1/Bias"] == (0, 0)
    assert after["bn1/Scale"] == after["bn1/Offset"] == (1, 1)
    assert after["conv2/Weights"] == (1, 1)


@pytest.mark.parametrize(
    ("what", "frozen"),
    [
        ("conv1", {"conv1"}),
        ("conv*", {"conv1", "conv2"}),
        ("Convolution2DLayer", {"conv1", "conv2"}),
        (["conv1", "fc"], {"conv1", "fc"}),
        (lambda layer: layer.kind == "FullyConnectedLayer", {"fc"}),
        ("*", {"conv1", "bn1", "conv2", "fc"}),
    ],
)
def test_layers_are_chosen_by_name_glob_kind_list_or_predicate(what: Any, frozen: set[str]) -> None:
    after = residual().freeze(what)
    assert {layer.name for layer, _, each in after.learnables() if each.frozen} == frozen
    assert not any(each.frozen for _, _, each in residual().learnables())


def test_a_frozen_learnable_needs_no_gradient_in_torch() -> None:
    model = residual().freeze("conv1").to_torch()
    assert {item.name for item in learnables(model) if not item.parameter.requires_grad} == {
        "conv1.weight",
        "conv1.bias",
    }


def test_one_factor_by_names_or_by_path() -> None:
    net = residual()
    assert same(net.set_learn_rate_factor("conv1", "Weights", 0), net.set_learn_rate_factor("conv1/Weights", 0))
    assert net.set_l2_factor("conv1/Bias", 3).layers["conv1"].BiasL2Factor == 3
    assert net.layers["conv1"].BiasL2Factor == 0


def test_nested_paths_name_the_inner_layer() -> None:
    made = [layers.feature_input(2, name="in"), layers.fully_connected(3, name="block/fc")]
    net = Network.assemble(made).initialize(0)
    assert net.set_learn_rate_factor("block/fc/Weights", 2).layers["block/fc"].WeightLearnRateFactor == 2


def test_gates_of_a_recurrent_layer_have_factors_of_their_own() -> None:
    net = sequence().set_learn_rate_factor("lstm/InputWeights", [1, 0, 1, 2])
    assert net.layers["lstm"].InputWeightsLearnRateFactor == (1, 0, 1, 2)
    assert net.set_learn_rate_factor("lstm/InputWeights", [3]).layers["lstm"].InputWeightsLearnRateFactor == 3
    with pytest.raises(UsageError, match="is given 3 factors"):
        net.set_learn_rate_factor("lstm/InputWeights", [1, 2, 3])


@pytest.mark.parametrize("value", [-1, float("nan"), float("inf"), "fast", None, [], [1, -1]])
def test_factors_are_finite_numbers_that_are_not_negative(value: Any) -> None:
    with pytest.raises(UsageError):
        residual().set_learn_rate_factor("conv1", "Weights", value)


def test_unknown_layers_and_learnables_name_the_nearest() -> None:
    with pytest.raises(UsageError, match="conv1"):
        residual().set_learn_rate_factor("Conv1/Weights", 1)
    with pytest.raises(UsageError, match="Weights, Bias"):
        residual().set_learn_rate_factor("conv1/Weigths", 1)
    with pytest.raises(UsageError, match="conv1"):
        residual().freeze("convol1")


def test_a_layer_cannot_be_changed_in_place() -> None:
    net = residual()
    with pytest.raises(UsageError, match=r"set_learn_rate_factor\('conv1', 'Weights', 0\)"):
        net.layers["conv1"].WeightLearnRateFactor = 0
    with pytest.raises(UsageError, match="8 layers cannot be assigned to 10"):
        net.layers[:10] = net.layers[:8]
    with pytest.raises(UsageError, match=r"net.replace\(net.layers\[2:3\], layers\)"):
        net.layers[2:3] = [layers.relu()]


# Surgery


def test_replace_keeps_the_connections_and_the_place() -> None:
    net = residual().replace("relu1", layers.leaky_relu(0.2, name="leaky"))
    assert names(net)[3] == "leaky"
    assert {("bn1", "leaky"), ("leaky", "conv2"), ("leaky", "add")} <= joined(net)


def test_a_layer_without_a_name_takes_over_the_old_one() -> None:
    assert names(residual().replace("relu1", layers.tanh())) == names(residual())


def test_replace_by_a_chain_feeds_its_first_and_reads_its_last() -> None:
    net = residual().replace("relu1", [layers.tanh(name="t"), layers.dropout(name="d")])
    assert {("bn1", "t"), ("t", "d"), ("d", "conv2"), ("d", "add")} <= joined(net)


def test_layers_take_the_place_of_as_many() -> None:
    net = residual()
    changed = net.replace(net.layers[2:4], [layers.batch_normalization(name="bn"), layers.relu(name="r")])
    assert names(changed)[2:4] == ["bn", "r"]
    with pytest.raises(UsageError, match="8 layers cannot take the place of 10"):
        net.replace(net.layers[:10], net.layers[:8])


def test_the_output_of_a_dlnetwork_follows_what_replaces_it() -> None:
    net = sequence().replace("prob", layers.sigmoid(name="s"))
    assert (net.outputs, net.inputs, net.classes) == (("s",), ("in",), ("down", "up"))


def test_remove_add_connect_as_with_a_layer_graph() -> None:
    net = chain().remove("drop")
    assert ("relu", "fc1") not in joined(net)
    again = net.connect("relu", "fc1")
    assert joined(again) == {
        ("data", "conv"),
        ("conv", "relu"),
        ("relu", "fc1"),
        ("fc1", "fc2"),
        ("fc2", "prob"),
        ("prob", "output"),
    }
    assert (again.inputs, again.outputs) == (("data",), ("prob",))
    skip = residual().disconnect("relu1", "add/in2").add([layers.convolution2d(1, 4, name="c"), layers.relu(name="r")])
    both = skip.connect("bn1", "c").connect("r", "add/in2").initialize(0)
    assert both.layers["c"].learnables["Weights"].shape == (1, 1, 4, 4)
    assert both.to_torch()(torch.zeros(1, 3, 8, 8)).shape == (1, 3)


def test_removed_output_layers_leave_a_dlnetwork_with_the_end_as_output() -> None:
    net = residual().remove(["prob", "output"])
    assert net.outputs == ("fc",)
    assert net.to_torch()(torch.zeros(1, 3, 8, 8)).shape == (1, 3)


def test_ports_are_named_in_both_ends() -> None:
    made = [
        layers.image_input([4, 4, 1], name="in", normalization="none"),
        layers.max_pooling2d(2, stride=2, name="pool", HasUnpoolingOutputs=True),
    ]
    net = Network.assemble(made).add(layers.max_unpooling2d(name="unpool"))
    for port in ("out", "indices", "size"):
        net = net.connect(f"pool/{port}", f"unpool/{'in' if port == 'out' else port}")
    assert net.outputs == ("unpool",)
    assert str(net.sizes["unpool"][0]) == "4×4×1"


def test_the_network_that_is_edited_stays() -> None:
    net = residual()
    before = facts(net)
    net.freeze("*").remove("prob")
    net.with_classes(["x", "y"]).with_input_size([16, 16])
    assert facts(net) == before


def test_what_was_done_is_noted() -> None:
    notes = chain().with_classes(["a", "b", "c"]).remove("drop").notes
    assert any("fc2" in note for note in notes) and any("drop" in note for note in notes)


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda net: net.replace("fc9", layers.relu()), "there is no layer 'fc9'"),
        (lambda net: net.replace("fc", layers.relu(name="relu1")), "two layers are named 'relu1'"),
        (lambda net: net.replace("add", layers.relu()), "cannot take the place of 'add'"),
        (lambda net: net.replace("fc", []), "no layer is given"),
        (lambda net: net.replace("fc", "relu"), "is no layer"),
        (lambda net: net.replace("fc", [layers.relu(), layers.relu()]), "has no name"),
        (lambda net: net.replace("conv1", layers.convolution2d(3, 5)), "'bn1' does not fit behind 'conv1'"),
        (lambda net: net.replace("conv2", layers.convolution2d(3, 5)), "'add' does not fit behind 'conv2' and 'relu1'"),
        (lambda net: net.remove("*"), "no layer would be left"),
        (lambda net: net.add(layers.relu(name="fc")), "two layers are named 'fc'"),
        (lambda net: net.connect("relu1", "fc"), "two connections end at 'fc/in'"),
        (lambda net: net.connect("nothing", "fc"), "there is no layer 'nothing'"),
        (lambda net: net.connect("relu1/indices", "fc"), "has no port 'indices'"),
        (lambda net: net.connect("relu1", "add/in3"), "has no port 'in3'"),
        (lambda net: net.connect("relu1", "add"), "has several inputs"),
        (lambda net: net.connect("output", "fc"), "has no outputs"),
        (lambda net: net.connect("relu1", "data"), "has no inputs"),
        (lambda net: net.disconnect("relu1", "add/in2").connect("pool", "add/in2"), "cycle"),
        (lambda net: net.disconnect("relu1", "fc"), "is not connected"),
        (lambda net: net.with_classes([]), "the classes are"),
        (lambda net: net.with_classes(["a", "a"]), "the classes are"),
        (lambda net: net.with_classes("ab"), "the classes are"),
        (lambda net: net.with_classes(["a", "b"], WeightLearnRate=10), "WeightLearnRateFactor"),
        (lambda net: net.with_input_size([0, 8]), "is no input size"),
        (lambda net: net.with_input_size([8]), "is no input size"),
        (lambda net: net.with_input_size([8, 8, 1]), "'conv1' does not fit behind 'data'"),
    ],
)
def test_bad_edits_are_refused_in_three_parts(edit: Callable[[Network], Network], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        edit(residual())
    assert caught.value.cause and caught.value.hint


# Heads


def test_the_head_is_the_last_layer_with_weights() -> None:
    head = residual().head()
    assert (head.layer.name, head.softmax and head.softmax.name, head.output and head.output.name) == (
        "fc",
        "prob",
        "output",
    )
    assert sequence().head().output is None


def test_networks_without_a_single_head_say_why() -> None:
    branched = residual().replace("fc", layers.relu())
    with pytest.raises(UsageError, match="no single head") as caught:
        branched.head()
    assert "add" in caught.value.cause


def test_with_classes_makes_head_output_and_classes() -> None:
    net = residual().with_classes(
        ["cap", "cube", "card", "die"], name="new_fc", WeightLearnRateFactor=10, biaslearnratefactor=20
    )
    fresh = net.layers["new_fc"]
    assert (fresh.WeightLearnRateFactor, fresh.BiasLearnRateFactor, fresh.WeightL2Factor, fresh.BiasL2Factor) == (
        10,
        20,
        1,
        0,
    )
    assert net.classes == net.layers["output"].Classes == ("cap", "cube", "card", "die")
    assert fresh.learnables["Weights"].array.size == 0
    assert net.initialize(0).to_torch()(torch.zeros(2, 3, 8, 8)).shape == (2, 4)


def test_weights_of_classes_are_those_of_the_classes() -> None:
    """One for each class, in their order: other classes have none until somebody gives them."""
    made = layers.classification(name="output", classes=["a", "b", "c"], ClassWeights=[1, 2, 5])
    net = residual().replace("output", made).with_classes(["x", "y"])
    assert made.ClassWeights == (1, 2, 5) and "ClassWeights" not in net.layers["output"].properties
    assert net.layers["output"].Classes == ("x", "y")


def test_a_convolution_as_head_keeps_its_filter() -> None:
    made = [
        layers.image_input([8, 8, 3], name="data", normalization="none"),
        layers.convolution2d(3, 2, name="conv10", padding="same", Stride=2),
        layers.global_average_pooling2d(name="pool"),
        layers.softmax(name="prob"),
        layers.classification(name="output", classes=["a", "b"]),
    ]
    net = Network.assemble(made).initialize(0).with_classes(["a", "b", "c"], name="new_conv")
    head = net.layers["new_conv"]
    assert (head.kind, head.FilterSize, head.NumFilters, head.Stride, head.PaddingMode) == (
        "Convolution2DLayer",
        (3, 3),
        3,
        (2, 2),
        "same",
    )


def test_a_regression_becomes_a_classification_with_a_softmax() -> None:
    net = Network.assemble(
        [layers.feature_input(3, name="in"), layers.fully_connected(1, name="fc"), layers.regression(name="out")]
    ).initialize(0)
    changed = net.with_classes(["a", "b"])
    assert [layer.kind for layer in changed.layers][-2:] == ["SoftmaxLayer", "ClassificationOutputLayer"]
    assert changed.outputs == ("softmax",)


def test_classes_follow_the_output_layer_and_go_where_they_do_not_fit() -> None:
    fresh = residual().replace("fc", layers.fully_connected(4))
    assert fresh.classes is None
    assert any("3 class names do not fit 4 outputs" in note for note in fresh.notes)
    assert fresh.replace("output", layers.classification(classes=["a", "b", "c", "d"])).classes == ("a", "b", "c", "d")


def test_heads_that_count_more_than_classes_are_refused() -> None:
    made = [
        layers.image_input([8, 8, 3], name="in", normalization="none"),
        layers.convolution2d(1, 12, name="c"),
        layers.yolov2_output([[8, 8]], name="out"),
    ]
    with pytest.raises(UsageError, match="detector"):
        Network.assemble(made).with_classes(["a", "b"])


# Input sizes


def test_another_input_size_changes_every_activation() -> None:
    net = residual().with_input_size([1000, 500])
    assert (str(net.sizes["conv2"][0]), str(net.sizes["pool"][0])) == ("1000×500×4", "1×1×4")
    assert net.layers["data"].state["Mean"].size == 3


def test_a_mean_for_each_pixel_is_dropped_with_a_note() -> None:
    net = residual().replace("data", layers.image_input([8, 8, 3], Mean=np.ones((8, 8, 3))))
    changed = net.with_input_size([16, 16])
    assert "Mean" not in changed.layers["data"].state
    assert any("Mean" in note and "8×8×3" in note for note in changed.notes)
    assert "Mean" in net.with_input_size([8, 8]).layers["data"].state


def test_a_fully_connected_layer_forbids_another_size_and_is_named() -> None:
    with pytest.raises(UsageError, match=r"16×16×1 is not possible.*'fc1' does not fit behind 'drop'") as caught:
        chain().with_input_size([16, 16])
    assert "net.replace('fc1', bridge.layers.fully_connected(4))" in caught.value.hint
    changed = chain().replace("fc1", layers.fully_connected(4)).with_input_size([16, 16]).initialize(0)
    assert changed.layers["fc1"].learnables["Weights"].shape == (4, 14 * 14 * 2)


# Assembling


def test_assemble_takes_given_weights() -> None:
    """Oracle: the product, computed by hand."""
    made = [layers.feature_input(2, name="in"), layers.fully_connected(1, name="fc", Weights=[[2, 3]], Bias=[1])]
    net = Network.assemble(made)
    assert net.kind == "dlnetwork"
    assert net.to_torch()(torch.tensor([[10.0, 100.0]])).item() == 321


@pytest.mark.parametrize(
    ("made", "connections", "words"),
    [
        ([], None, "no layer is given"),
        ([layers.relu()], None, "has no name"),
        ([layers.relu(name="a"), layers.relu(name="a")], None, "two layers are named 'a'"),
        (
            [layers.feature_input(2, name="in"), layers.fully_connected(1, name="fc", Weights=[[1, 2, 3]])],
            None,
            "'fc' does not fit behind 'in'",
        ),
        ([layers.feature_input(2, name="in"), layers.relu(name="r")], [("in", "q")], "'q'"),
        (["relu"], None, "is no layer"),
    ],
)
def test_bad_assemblies_are_refused(made: Any, connections: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Network.assemble(made, connections)


# Any sequence of edits

NAMES = st.sampled_from(
    [
        "data",
        "conv1",
        "bn1",
        "relu1",
        "conv2",
        "add",
        "pool",
        "fc",
        "prob",
        "output",
        "new",
        "add/in2",
        "new2",
        "missing",
    ]
)
FRESH = st.sampled_from(
    [
        lambda: layers.relu(name="new"),
        lambda: layers.convolution2d(1, 4, name="new2"),
        lambda: layers.fully_connected(3, name="new"),
        lambda: layers.addition(name="new2"),
        lambda: [layers.batch_normalization(name="new"), layers.relu(name="new2")],
        lambda: layers.softmax(),
    ]
)
EDITS = st.one_of(
    st.tuples(st.just("replace"), NAMES, FRESH.map(lambda make: make())),
    st.tuples(st.just("remove"), NAMES),
    st.tuples(st.just("add"), FRESH.map(lambda make: make())),
    st.tuples(st.just("connect"), NAMES, NAMES),
    st.tuples(st.just("disconnect"), NAMES, NAMES),
    st.tuples(st.just("freeze"), NAMES),
    st.tuples(st.just("with_classes"), st.sampled_from([["a", "b"], ["a"], ["a", "a"]])),
    st.tuples(st.just("with_input_size"), st.sampled_from([[8, 8], [16, 4], [1, 1], [3]])),
)
START = residual()


@settings(max_examples=100)
@given(st.lists(EDITS, min_size=1, max_size=8))
def test_any_sequence_of_edits_leaves_a_valid_network(edits: list[tuple[Any, ...]]) -> None:
    net = START
    for verb, *arguments in edits:
        try:
            net = getattr(net, verb)(*arguments)
        except BridgeError as error:
            assert error.cause and error.hint
            continue
        check_structure(net)
        consistent(net)
        assert len(net.order) == len(net.layers)
        assert all(not net.layers[name].inputs for name in net.inputs)
    whole = all(len(net.incoming[layer.name]) == len(layer.inputs) for layer in net.layers)
    if whole:
        made = net.initialize(1)
        assert all(math.prod(each.shape) for _, _, each in made.learnables())
        assert set(made.sizes) == set(names(net))


@needs_real
def test_edits_of_networks_that_matlab_wrote() -> None:
    net = bridge.load(REAL / "mat" / "traffic_light_R2020b.mat")
    assert consistent(net) == net.sizes
    head = net.head()
    assert (head.layer.name, head.output and head.output.name) == ("FC", "Output")
    with pytest.raises(UsageError, match="'FC' does not fit"):
        net.with_input_size([100, 100])
    detector = bridge.load(REAL / "mat" / "yolov2_detector_2022.mat")
    with pytest.raises(UsageError, match="detector"):
        detector.with_classes(["car", "bus"])
