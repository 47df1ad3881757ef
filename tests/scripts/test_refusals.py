"""What is no script, no text, no number or not of the script's folder is refused or not understood, and soon; nothing is made up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bridge import layers
from bridge.errors import UnreadableError, UsageError
from bridge.scripts import Reading, read
from bridge.scripts.language.assignment import DEEPEST_VALUE, MOST_OBJECTS
from bridge.scripts.language.syntax import MOST_BYTES

NETWORK = "net = alexnet;\nlayers = net.Layers;\n"
TRAIN = "\nopts = trainingOptions('adam'{});\nt = trainNetwork(x,y,layers,opts);\n"


def reading(folder: Path, source: str, options: str = "") -> Reading:
    path = folder / "script.m"
    path.write_text(source + TRAIN.format(options), encoding="utf-8")
    return read(path)


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    (tmp_path / "secret.m").write_text(
        "function l = helper(l)\nl(2).WeightLearnRateFactor = 7;\nend\n", encoding="utf-8"
    )
    (inner / "helper.m").symlink_to(tmp_path / "secret.m")
    signs = Path(__file__).parents[2] / "fixtures" / "files" / "signs.mat"
    (inner / "signs.mat").symlink_to(signs)
    (inner / "loop.m").symlink_to(inner / "loop.m")
    assert reading(inner, f"{NETWORK}layers = helper(layers);\n").exit_code == 3
    assert reading(inner, f"{NETWORK}layers = loop(layers);\n").exit_code == 3
    assert reading(inner, f"{NETWORK}layers = {'x' * 300}(layers);\n").exit_code == 3
    assert reading(inner, "s = load('signs.mat');\nlayers = s.net.Layers;\n").exit_code == 3
    (inner / "within.m").write_text((tmp_path / "secret.m").read_text(encoding="utf-8"), encoding="utf-8")
    (inner / "helper.m").unlink()
    (inner / "helper.m").symlink_to(inner / "within.m")
    assert reading(inner, f"{NETWORK}layers = helper(layers);\n").exit_code == 0


CHARACTERS = {
    "['fc' char(49)]": "fc1", "['fc' 49]": "fc1", "char([102 99])": "fc", '["fc"]': "fc", '"fc"+2': "fc2", "string(5)": "5",
    "num2str(1234567)": "1234567", "num2str(pi)": "3.1416", "sprintf('fc%d',3)": "fc3", "strcat('fc ','1')": "fc1",
}  # fmt: skip


@pytest.mark.parametrize("source", CHARACTERS)
@pytest.mark.parametrize(
    "form", ["new = fullyConnectedLayer(5,'Name',{});", "new = fullyConnectedLayer(5); new.Name = {};"]
)
def test_names_are_what_matlab_makes(source: str, form: str, tmp_path: Path) -> None:
    """Worked out by hand from the documentation of the functions."""
    found = reading(tmp_path, f"{NETWORK}{form.format(source)}\nlayers(23) = new;\n")
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    assert found.recipe.edits[0].arguments["layers"]["Name"] == CHARACTERS[source]


@pytest.mark.parametrize(
    "source",
    [
        "{'a'}",
        "3",
        "struct('a',1)",
        "elsewhere",
        "['a' struct('b',1)]",
        "@relu",
        "lower(5)",
        "strcat('a',1)",
        "sprintf('a%s',49)",
        '"a"+true',
    ],
)
@pytest.mark.parametrize(
    "form", ["new = fullyConnectedLayer(5,'Name',{});", "new = fullyConnectedLayer(5); new.Name = {};"]
)
def test_a_name_that_is_no_text(source: str, form: str, tmp_path: Path) -> None:
    assert reading(tmp_path, f"{NETWORK}{form.format(source)}\nlayers(23) = new;\n").exit_code == 3


@pytest.mark.parametrize(
    "value", ["struct('a',1)", "{struct('a',1)}", "struct('schedule','cosine')", "layers", "net", "struct('a',1,'b',2)"]
)
@pytest.mark.parametrize("option", ["Plots", "InitialLearnRate", "LearnRateSchedule"])
def test_options_that_are_no_values(option: str, value: str, tmp_path: Path) -> None:
    found = reading(tmp_path, NETWORK, f",'{option}',{value}")
    assert found.exit_code == 3 and any(option in entry.what for entry in found.not_understood)


def test_properties_and_augmentation_that_are_no_values(tmp_path: Path) -> None:
    found = reading(tmp_path, f"{NETWORK}layers(23) = fullyConnectedLayer(5,'WeightsInitializer',struct('a',1));\n")
    assert found.exit_code == 3 and "WeightsInitializer" in found.not_understood[0].what
    augmented = "x = augmentedImageDatastore([227 227],imageDatastore('a'),'DataAugmentation',imageDataAugmenter('RandXReflection','no'));\n"
    found = reading(tmp_path, NETWORK + augmented)
    assert found.exit_code == 3 and any("RandXReflection" in entry.what for entry in found.not_understood)


@pytest.mark.parametrize(
    "call",
    [
        "ismember('a',{struct('a',1)})",
        "createLgraphUsingConnections(layers,struct('a',1))",
        "unetLayers({},struct('a',1))",
        "imagePretrainedNetwork('alexnet','Weights',w)",
    ],
)
def test_arguments_that_a_function_does_not_take(call: str, tmp_path: Path) -> None:
    assert reading(tmp_path, f"{NETWORK}layers = {call};\n").exit_code == 3


def test_a_value_nested_too_deeply(tmp_path: Path) -> None:
    nested = "x.a = 1;\nfor i = 1:{}, x.a = x; end\n" + NETWORK
    found = reading(tmp_path, nested.format(50 * DEEPEST_VALUE), ",'InitialLearnRate',x")
    assert found.exit_code == 3 and "too large" in found.not_understood[0].what


GROWING = {
    "layers": "layers = imageInputLayer([8 8 3]);\nfor i = 1:20000, layers = [layers; reluLayer('Name',num2str(i))]; end\n",
    "graph": "layers = layerGraph(imageInputLayer([8 8 3]));\nfor i = 1:20000, layers = addLayers(layers,reluLayer('Name',['a' num2str(i)])); end\n",
    "doubled": "layers = reluLayer;\nfor i = 1:16, layers = [layers; layers]; end\n",
    "cell": f"{NETWORK}a = {{}};\nfor i = 1:1e5, a{{end+1}} = i; end\n",
    "array": f"{NETWORK}a = [];\nfor i = 1:1e5, a(end+1) = i; end\n",
    "fields": f"{NETWORK}for i = 1:1e5, a.(['f' num2str(i)]) = i; end\n",
}


@pytest.mark.parametrize("kind", GROWING)
def test_growth_ends(kind: str, tmp_path: Path) -> None:
    """What grows without end is not followed; no more elements are gone over than there are steps for."""
    assert reading(tmp_path, GROWING[kind]).exit_code == 3


def test_a_long_network_is_followed(tmp_path: Path) -> None:
    count = MOST_OBJECTS // 2
    source = (
        f"layers = imageInputLayer([8 8 3]);\nfor i = 1:{count}, layers = [layers; reluLayer('Name',num2str(i))]; end\n"
    )
    found = reading(tmp_path, source)
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the operating system has no pipes with names")
def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.m")
    for path in (tmp_path / "pipe.m", Path(os.devnull), tmp_path):
        with pytest.raises(UnreadableError) as refused:
            read(path)
        assert refused.value.cause == "it is no regular file"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_other_text(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "script.m"
    path.write_bytes((NETWORK + TRAIN.format("")).encode(encoding))
    with pytest.raises(UnreadableError) as refused:
        read(path)
    assert "UTF-16" in refused.value.cause


def test_too_large_and_too_long(tmp_path: Path) -> None:
    path = tmp_path / "script.m"
    path.write_bytes(b"%" * (MOST_BYTES + 1))
    with pytest.raises(UnreadableError) as refused:
        read(path)
    assert "larger than 10 MB" in refused.value.cause
    path.write_text(f"x = {'+'.join(['1'] * 10_000)};\n", encoding="utf-8")
    with pytest.raises(UnreadableError) as refused:
        read(path)
    assert "line 1: too long an expression" in refused.value.error


@pytest.mark.parametrize("value", ["'x'", "1e400", "1.5", "-1", "true"])
def test_a_probability_that_is_none(value: str, tmp_path: Path) -> None:
    found = reading(tmp_path, f"{NETWORK}\nnew = dropoutLayer({value});\n")
    (entry,) = found.not_understood
    assert (entry.line, entry.text) == (4, f"new = dropoutLayer({value});") and found.exit_code == 3
    assert "Probability of dropoutLayer" in entry.what


@pytest.mark.parametrize("value", ["x", float("inf"), float("nan"), 1.5, -0.1, True])
def test_a_probability_at_the_constructor(value: object) -> None:
    with pytest.raises(UsageError, match="Probability of dropoutLayer"):
        layers.dropout(value)
    assert layers.dropout(0.25).Probability == 0.25


@pytest.mark.parametrize("line", ["layers(31) = reluLayer;", "layers([2 40]) = layers([3 4]);"])
def test_no_gap_is_left_in_an_array_of_layers(tmp_path: Path, line: str) -> None:
    """MATLAB has nothing to put between; one behind the last is appended."""
    found = reading(tmp_path, f"{NETWORK}{line}\n")
    assert found.exit_code == 3 and "is set of 25 layers" in str(found.not_understood)
    assert not reading(tmp_path, f"{NETWORK}layers(26) = reluLayer;\n").not_understood
