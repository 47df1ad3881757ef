"""Recipes: reading, writing, applying, Python source; the ones that ship; bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bridge
from bridge import layers
from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.network import Network
from bridge.options.options import training_options
from bridge.options.values import schedule
from bridge.random import MatlabStream
from bridge.recipes.parts import Base, Data, Loss, Rng
from bridge.recipes.recipe import Recipe, shipped
from bridge.recipes.verbs import Edit
from tests.recipes.nets import facts, residual, same, stand_in

EDITS = (
    Edit("freeze", "1:3", {"batch_norm": False}),
    Edit("freeze", ["end-3:end", "conv*"]),
    Edit("set_learn_rate_factor", "conv2/Weights", {"factor": 0.5}),
    Edit("set_l2_factor", "conv2/Bias", {"factor": 1}),
    Edit(
        "replace",
        "relu1",
        {
            "layers": [
                {"layer": "leakyReluLayer", "Scale": 0.2, "Name": "leaky"},
                {"layer": "dropoutLayer", "Name": "drop"},
            ]
        },
    ),
    Edit("disconnect", ["drop", "add/in2"]),
    Edit(
        "add",
        {"layer": "convolution2dLayer", "FilterSize": 1, "NumFilters": 4, "Name": "side", "WeightLearnRateFactor": 10},
    ),
    Edit("connect", ["bn1", "side"]),
    Edit("connect", ["side", "add/in2"]),
    Edit("with_input_size", [16, 12]),
    Edit(
        "with_classes",
        ["cap", "cube", "card", "die"],
        {"name": "new_fc", "WeightLearnRateFactor": 10, "BiasLearnRateFactor": 10},
    ),
    Edit("remove", "output"),
)
OPTIONS = training_options(
    "adam", trainer="trainnet", semantics={"adam_epsilon": "A"}, InitialLearnRate=3e-4, GradientThreshold=math.inf,
    LearnRateSchedule=[schedule("warmupLearnRate", NumSteps=3), "cosine"], Metrics=["accuracy", "rmse"],
)  # fmt: skip
FULL = Recipe(
    Base(file="net", layers=("data", "conv1"), head="fc"),
    OPTIONS,
    EDITS,
    Loss("crossentropy", (1, 2.5, 0, 1)),
    Data(
        "images",
        (0.7, 0.15),
        True,
        "",
        (16, 12),
        "centercrop",
        "gray2rgb",
        True,
        {"RandXReflection": True, "RandRotation": [-10, 10]},
    ),
    rng=Rng(7, 300),
    description='Everything at once, with "quotes" and ×.',
)


def test_a_recipe_is_the_same_after_writing_and_reading(tmp_path: Path) -> None:
    FULL.save(tmp_path / "recipe.toml")
    read = Recipe.load(tmp_path / "recipe.toml")
    assert read == FULL
    assert read.to_toml() == FULL.to_toml() == (tmp_path / "recipe.toml").read_text(encoding="utf-8")
    assert read.folder == tmp_path


def test_an_existing_file_is_kept(tmp_path: Path) -> None:
    FULL.save(tmp_path / "recipe.toml")
    with pytest.raises(UsageError, match="exists"):
        FULL.save(tmp_path / "recipe.toml")
    FULL.save(tmp_path / "recipe.toml", force=True)


def test_the_edits_are_those_of_the_network() -> None:
    """Oracle: the same edits written out by hand."""
    net = residual()
    by_hand = net.freeze(net.layers[:3], batch_norm=False).freeze([*net.layers[6:], "conv*"])
    by_hand = by_hand.set_learn_rate_factor("conv2", "Weights", 0.5).set_l2_factor("conv2", "Bias", 1)
    by_hand = by_hand.replace("relu1", [layers.leaky_relu(0.2, name="leaky"), layers.dropout(name="drop")]).disconnect(
        "drop", "add/in2"
    )
    by_hand = (
        by_hand.add(layers.convolution2d(1, 4, name="side", WeightLearnRateFactor=10))
        .connect("bn1", "side")
        .connect("side", "add/in2")
    )
    by_hand = by_hand.with_input_size([16, 12])
    by_hand = by_hand.with_classes(
        ["cap", "cube", "card", "die"], "new_fc", WeightLearnRateFactor=10, BiasLearnRateFactor=10
    ).remove("output")
    assert same(FULL.network(net), by_hand.initialize(MatlabStream(7, position=300)))


def run(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(source, "recipe", "exec"), names)  # the project's own output
    return names


def test_python_source_does_the_same(tmp_path: Path) -> None:
    residual().save(tmp_path / "net")
    recipe = replace(FULL, folder=tmp_path)
    made = run(recipe.python())
    assert same(made["net"], recipe.network())
    assert (made["options"], made["loss"], made["data"], made["rng"].seed) == (
        recipe.options,
        recipe.loss,
        recipe.data,
        recipe.rng.seed,
    )


@pytest.mark.parametrize("name", sorted(shipped()))
def test_shipped_recipes_have_the_one_form_that_is_written(name: str) -> None:
    assert Recipe.load(name).to_toml() == shipped()[name].read_text(encoding="utf-8")
    assert Recipe.load(name).description
    compile(Recipe.load(name).python(), name, "exec")


def googlenet() -> Network:
    first = [
        layers.convolution2d(7, 4, name="conv1-7x7_s2", padding=3, Stride=2),
        layers.relu(name="conv1-relu_7x7"),
        layers.max_pooling2d(3, name="pool1-3x3_s2", Stride=2, padding=[0, 1, 0, 1]),
        layers.cross_channel_normalization(5, name="pool1-norm1", K=1),
        layers.convolution2d(1, 4, name="conv2-3x3_reduce", BiasLearnRateFactor=2),
        layers.relu(name="conv2-relu_3x3_reduce"),
        layers.convolution2d(3, 4, name="conv2-3x3", padding=1),
        layers.relu(name="conv2-relu_3x3"),
        layers.cross_channel_normalization(5, name="conv2-norm2"),
        layers.convolution2d(3, 4, name="inception"),
    ]
    return stand_in(*first, head=layers.fully_connected(2, name="loss3-classifier"))


def alexnet() -> Network:
    first = [
        layers.convolution2d(11, 4, name="conv1", Stride=4),
        layers.relu(name="relu1"),
        layers.cross_channel_normalization(5, name="norm1"),
        layers.max_pooling2d(3, name="pool1", padding="same"),
        layers.grouped_convolution2d(5, 2, 2, name="conv2", padding=2),
        layers.relu(name="relu2"),
        layers.cross_channel_normalization(5, name="norm2"),
        layers.max_pooling2d(3, name="pool2", padding="same"),
        layers.convolution2d(3, 4, name="conv3", padding=1),
    ]
    return stand_in(*first, head=layers.fully_connected(2, name="fc8"))


def squeezenet() -> Network:
    first = [
        layers.convolution2d(3, 4, name="conv1", Stride=2),
        layers.relu(name="relu_conv1"),
        layers.max_pooling2d(3, name="pool1", Stride=2),
        layers.convolution2d(1, 2, name="fire2-squeeze1x1"),
    ]
    return stand_in(*first, head=layers.convolution2d(1, 2, name="conv10"))


DOCUMENTED: dict[str, tuple[Callable[[], Network], str, float, set[str]]] = {
    "googlenet-transfer": (googlenet, "new_fc", 10, {"conv1-7x7_s2", "conv2-3x3_reduce", "conv2-3x3"}),
    "alexnet-transfer": (alexnet, "fc", 20, set()),
    "squeezenet-transfer": (squeezenet, "new_conv", 10, set()),
    "retrain-head": (residual, "fc", 1, {"conv1", "bn1", "conv2"}),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_shipped_recipes_do_what_is_documented(name: str) -> None:
    """Oracle: the documented recipes: factors of the new head, frozen layers. The networks begin and end like the real ones."""
    make, head, factor, frozen = DOCUMENTED[name]
    net = Recipe.load(name).network(make(), classes=["cap", "cube", "card"])
    assert net.head().layer.name == head
    assert (net.layers[head].WeightLearnRateFactor, net.layers[head].BiasLearnRateFactor) == (factor, factor)
    assert {layer.name for layer, _, each in net.learnables() if each.frozen} == frozen
    assert net.classes == ("cap", "cube", "card")


def test_shipped_options_are_documented_ones() -> None:
    options = {name: Recipe.load(name).options for name in DOCUMENTED}
    assert [(o.solver, o.MiniBatchSize, o.MaxEpochs, o.InitialLearnRate) for o in options.values()] == [
        ("sgdm", 10, 6, 3e-4), ("sgdm", 10, 6, 1e-4), ("sgdm", 11, 8, 1e-4), ("adam", 128, 30, 1e-3),
    ]  # fmt: skip
    data = Recipe.load("googlenet-transfer").data
    assert (data.split, data.augmentation["RandXTranslation"], data.augmentation["RandXScale"]) == (
        (0.7,),
        (-30, 30),
        (0.9, 1.1),
    )


def test_validation_once_an_epoch_is_counted_in_iterations() -> None:
    """floor(training images / MiniBatchSize), as in the documented example."""
    recipe = Recipe.load("googlenet-transfer")
    assert recipe.options_for(55).ValidationFrequency == 5
    assert recipe.options_for(3).ValidationFrequency == 1
    assert Recipe.load("alexnet-transfer").options_for(55).ValidationFrequency == 3


def test_a_recipe_for_another_network_names_the_first_difference() -> None:
    with pytest.raises(UsageError, match="googlenet: layer 2 is 'conv1'") as caught:
        Recipe.load("googlenet-transfer").network(alexnet(), classes=["a", "b"])
    assert caught.value.cause == "it should be 'conv1-7x7_s2'"
    with pytest.raises(UsageError, match="layer 3 is missing"):
        replace(FULL, base=Base(layers=("data", "conv1", "bn1"))).network(residual().remove(residual().layers[2:]))
    with pytest.raises(UsageError, match="last layer with weights is 'fc'"):
        replace(FULL, base=Base(head="fc1000")).network(residual())


def test_classes_from_the_data_are_asked_for() -> None:
    with pytest.raises(UsageError, match=r"edit 1 \(with_classes\): the recipe takes its classes from the data"):
        Recipe.load("alexnet-transfer").network(alexnet())
    assert Recipe.load("alexnet-transfer").takes_classes
    assert not FULL.takes_classes


def test_a_recipe_without_a_network_says_how_to_make_one() -> None:
    with pytest.raises(UsageError, match="names no network") as caught:
        Recipe.load("retrain-head").network()
    assert "save('net.mat', 'net')" in caught.value.hint


def test_a_pretrained_network_is_not_trained_from_random_weights_without_a_word(tmp_path: Path) -> None:
    """In Python, from a file and written as Python; torchvision's weights are offered where they fit."""
    recipe = Recipe.load("squeezenet-transfer")
    with pytest.raises(UsageError, match="squeezenet has random weights here") as caught:
        recipe.network(classes=["a", "b"])
    assert "net = squeezenet; save('squeezenet.mat','net'); then --network squeezenet.mat" in caught.value.cause
    assert "--untrained" in caught.value.hint and "torchvision.models.squeezenet1_1" in caught.value.hint
    with pytest.raises(UsageError) as caught:
        Recipe.load("googlenet-transfer").load_base()
    assert "torchvision" not in caught.value.hint
    assert 'bridge.load("squeezenet.mat")' in recipe.python()
    saved = Recipe.load(recipe.untrained().save(tmp_path / "recipe.toml"))
    assert saved.base.untrained and saved.network(classes=["a", "b"]).layers.has("new_conv")
    assert any("random weights" in note for note in bridge.networks.build("squeezenet", classes=2).notes)


BAD = [
    ("", "the schema is None"),
    ('schema = "bridge.recipe/9"', "the schema is 'bridge.recipe/9'"),
    ('{S}\ntrainr = "trainnet"', "'trainr' is no entry of a recipe"),
    ('{S}\ntrainer = "train"\n{O}', "trainer"),
    ("{S}", "name no solver"),
    ('{S}\n[options]\nsolver = "sgdm"\nInitalLearnRate = 1', "InitialLearnRate"),
    ('{S}\n[options]\nsolver = "adam"\nMomentum = 0.9', "Momentum is no option of 'adam'"),
    ('{S}\n[options]\nsolver = "sgdm"\ntrainer = "trainnet"', "holds 'trainer'"),
    ("{S}\nseed = 1\n{O}", "'seed' is no entry of a recipe"),
    ("{S}\n{O}\n[rng]\nseed = -1", "seed is -1"),
    ("{S}\n{O}\n[rng]\nseed = 4294967296", "seed is 4294967296"),
    ("{S}\n{O}\n[rng]\nseed = true", "seed is True"),
    ("{S}\n{O}\n[rng]\nskip = -1", "skip is -1"),
    ("{S}\n{O}\n[rng]\nskip = 0.5", "skip is 0.5"),
    ("{S}\n{O}\n[rng]\nposition = 1", "'position' is no entry of \\[rng\\]"),
    ("{S}\noptions = 3", "options is 3"),
    ("{S}\nedits = 3\n{O}", "edits is 3"),
    ("{S}\nedits = [3]\n{O}", "3 is no edit"),
    ("{S}\ndescription = 3\n{O}", "description is 3"),
    ("{S}\n{O}\n[network]\nfiel = 'net.mat'", "'fiel' is no entry of \\[network\\]"),
    ("{S}\n{O}\n[network]\nclasses = ['a', 'a']", "classes is"),
    ("{S}\n{O}\n[[edits]]\nfreze = '1:10'", "'freze' is no edit"),
    ("{S}\n{O}\n[[edits]]", "'' is no edit"),
    ("{S}\n{O}\n[[edits]]\nfreeze = 'a'\nremove = 'b'", "are two edits"),
    ("{S}\n{O}\n[[edits]]\nfreeze = 'a'\nbatchnorm = true", "'batchnorm' is no entry of freeze"),
    ("{S}\n{O}\n[[edits]]\nfreeze = 10", "10 is not what is wanted"),
    ("{S}\n{O}\n[[edits]]\nfreeze = 'a'\nbatch_norm = 1", "1 is not what is wanted"),
    ("{S}\n{O}\n[[edits]]\nset_learn_rate_factor = 'a/Weights'", "needs 'factor'"),
    ("{S}\n{O}\n[[edits]]\nset_learn_rate_factor = 'a/Weights'\nfactor = -1", "-1 is no factor"),
    ("{S}\n{O}\n[[edits]]\nset_learn_rate_factor = 'a/Weights'\nfactor = 'x'", "'x' is no factor"),
    ("{S}\n{O}\n[[edits]]\nreplace = 'a'\nlayers = [{{ layer = 'reluLayr' }}]", "reluLayer"),
    ("{S}\n{O}\n[[edits]]\nreplace = 'a'\nlayers = [{{ layer = 'fullyConnectedLayer' }}]", "needs OutputSize"),
    ("{S}\n{O}\n[[edits]]\nreplace = 'a'\nlayers = 3", "3 is not what is wanted"),
    ("{S}\n{O}\n[[edits]]\nconnect = ['a']", "is not what is wanted"),
    ("{S}\n{O}\n[[edits]]\nwith_classes = 5", "5 is not what is wanted"),
    ("{S}\n{O}\n[[edits]]\nwith_classes = 'data'\nWeightLearnRate = 10", "WeightLearnRateFactor"),
    ("{S}\n{O}\n[[edits]]\nwith_input_size = [2.5, 3]", "is not what is wanted"),
    ("{S}\n{O}\n[loss]\nclass_weights = [-1]", "class_weights is"),
    ("{S}\n{O}\n[loss]\nname = 3", "name is 3"),
    ("{S}\n{O}\n[data]\nsplit = [0.7, 0.5]", "split is"),
    ("{S}\n{O}\n[data]\nsplit = [0.7, 5]", "split is"),
    ("{S}\n{O}\n[data]\nsplit = 0.7", "split is"),
    ("{S}\n{O}\n[data]\nsplit = [inf]", "split is"),
    ("{S}\n{O}\n[data]\nsplit = [nan, 1.5]", "split is"),
    ("{S}\n{O}\n[data]\nsize = [224]", "size is"),
    ("{S}\n{O}\n[data]\nOutputSizeMode = 'crop'", "OutputSizeMode is 'crop'"),
    ("{S}\n{O}\n[data]\nColorPreprocessing = 'grey'", "ColorPreprocessing is 'grey'"),
    ("{S}\n{O}\n[data]\nrandomised = true", "'randomised' is no entry of \\[data\\]"),
    ("{S}\n{O}\n[data.augmentation]\nRandReflection = true", "'RandReflection' is no option of imageDataAugmenter"),
    ("{S}\n{O}\n[data.augmentation]\nRandXReflection = 1", "RandXReflection is 1"),
    ("{S}\n{O}\n[data.augmentation]\nRandRotation = 10", "RandRotation is 10"),
    ("{S}\n{O}\n[data.augmentation]\nRandRotation = [10, -10]", "RandRotation is"),
]


@pytest.mark.parametrize(("text", "words"), BAD)
def test_bad_recipes_are_refused_in_three_parts(text: str, words: str, tmp_path: Path) -> None:
    options = '[options]\nsolver = "sgdm"' if "[options]" not in text else ""
    file = tmp_path / "recipe.toml"
    body = text.replace("{S}", 'schema = "bridge.recipe/1"').replace("{{", "{").replace("}}", "}")
    body = body.replace("\n{O}", "") + (f"\n{options}" if "{O}" in text else "")
    file.write_text(body, encoding="utf-8")
    with pytest.raises(UsageError, match=words) as caught:
        Recipe.load(file)
    assert str(file) in caught.value.error and caught.value.cause and caught.value.hint


def test_files_that_are_no_toml_or_not_there(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("schema = \nseed = 0\n", encoding="utf-8")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UnreadableError, match="line 1"):
        Recipe.load(tmp_path / "broken.toml")
    with pytest.raises(UnreadableError):
        Recipe.load(tmp_path / "bytes.toml")
    with pytest.raises(UsageError, match="there is no recipe googlenet-tranfer") as caught:
        Recipe.load("googlenet-tranfer")
    assert "googlenet-transfer" in caught.value.hint


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (Edit("freeze", "1:99"), "there are no layers 1:99"),
        (Edit("freeze", "0:3"), "there are no layers 0:3"),
        (Edit("freeze", "5:2"), "there are no layers 5:2"),
        (Edit("freeze", "conv9"), "no layer fits 'conv9'"),
        (Edit("set_learn_rate_factor", "conv1/Weight", {"factor": 1}), "no learnable 'Weight'"),
        (Edit("set_learn_rate_factor", "conv1/Weights", {"factor": [1, 2]}), "2 factors"),
        (
            Edit("replace", "1:3", {"layers": [{"layer": "reluLayer", "Name": "r"}]}),
            "1 layer cannot take the place of 3",
        ),
        (Edit("with_input_size", [8, 8, 1]), "'conv1' does not fit behind 'data'"),
    ],
)
def test_edits_that_do_not_fit_are_named_by_their_number(edit: Edit, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        replace(FULL, edits=(Edit("freeze", "conv1"), edit)).network(residual())
    assert caught.value.error.startswith(f"edit 2 ({edit.verb})")


LISTS = st.lists(st.one_of(st.integers(0, 300), st.text(max_size=3)), max_size=3)
VALUES = st.one_of(st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), st.text(max_size=5), LISTS)
NAMES = st.sampled_from(
    [
        "freeze",
        "replace",
        "layers",
        "factor",
        "with_classes",
        "with_input_size",
        "connect",
        "batch_norm",
        "name",
        "Weights",
        "layer",
    ]
)
ENTRIES = st.sampled_from(["seed", "rng", "network", "edits", "loss", "data", "trainer", "x"])


@settings(max_examples=100)
@given(st.dictionaries(ENTRIES, st.one_of(VALUES, st.dictionaries(NAMES, VALUES, max_size=3))))
def test_whatever_a_file_holds_is_a_recipe_or_refused(document: dict[str, Any]) -> None:
    full = {"schema": "bridge.recipe/1", "options": {"solver": "sgdm"}, **document}
    try:
        recipe = Recipe.from_mapping(full)
    except BridgeError as error:
        assert error.cause and error.hint
        return
    assert Recipe.from_mapping(recipe.to_mapping()) == recipe


@settings(max_examples=100)
@given(st.dictionaries(NAMES, VALUES, max_size=4))
def test_whatever_an_edit_holds_is_an_edit_or_refused(entry: dict[str, Any]) -> None:
    try:
        edit = Edit.from_mapping(entry)
    except BridgeError as error:
        assert error.cause and error.hint
        return
    assert Edit.from_mapping(edit.to_mapping()) == edit
    compile(edit.source(), "edit", "exec")
    try:
        edit.apply(residual(), ["a", "b"])
    except BridgeError as error:
        assert error.cause and error.hint


def test_the_network_gets_its_values_from_the_seed() -> None:
    one, other = (replace(FULL, rng=Rng(seed)).network(residual()) for seed in (1, 2))
    assert facts(one) == facts(replace(FULL, rng=Rng(1)).network(residual()))
    assert not np.array_equal(one.layers["new_fc"].Weights, other.layers["new_fc"].Weights)
    assert bridge.Recipe is Recipe


def test_the_python_of_a_named_network_builds_it() -> None:
    """Oracle: the recipe's own network."""
    recipe = Recipe.load("squeezenet-transfer").untrained()
    source = recipe.python().replace("classes = net.classes", "classes = ['cap', 'cube']")
    made = run(source)["net"]
    expected = recipe.network(classes=["cap", "cube"])
    assert [layer.name for layer in made.layers] == [layer.name for layer in expected.layers] and made.classes == (
        "cap",
        "cube",
    )
    assert [each.learn_rate_factor for _, _, each in made.learnables()] == [
        each.learn_rate_factor for _, _, each in expected.learnables()
    ]
