"""References: what bridgeReference writes, and what teams have."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bridge.errors import UnreadableError, UsageError
from bridge.network import Network
from bridge.parity.records import sample_indices
from bridge.parity.references import Labels, Names, read
from fixtures import mat, reference
from fixtures.objects import categorical

MATLAB = Path(__file__).parents[1] / "matlab"
Load = Callable[..., Network]


def test_the_indices_follow_the_formula() -> None:
    """Oracle: the formula of docs/mat-structs.md in exact integers."""
    for total, samples, seed in (
        (10, 4000, 1),
        (4000, 4000, 1),
        (4001, 4000, 7),
        (123_457, 4000, 1),
        (3_000_000_000, 17, 5),
    ):
        assert (sample_indices(total, samples, seed) + 1).tolist() == reference.sample_indices(total, samples, seed)


@pytest.fixture(scope="module")
def octave(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the references that bridgeReference.m itself has written, under Octave on stand-in objects."""
    program = shutil.which("octave-cli") or shutil.which("octave")
    if program is None:
        pytest.skip("GNU Octave is not installed: octave-cli runs the MATLAB functions")
    folder = tmp_path_factory.mktemp("octave")
    paths = ",".join(f"'{path}'" for path in (MATLAB.parents[1] / "bridge" / "matlab", MATLAB, MATLAB / "standins"))
    code = "X = reshape(single(sin(1:5000)), 1, 1, 1, 5000); net = SeriesNetwork(line(true));"
    code = code.replace(
        "line(true)",
        "[nnet.cnn.layer.ImageInputLayer('Name', 'input'); nnet.cnn.layer.RegressionOutputLayer('Name', 'output')]",
    )
    code += f" bridgeReference(net, X, '{folder}/images.mat', 'Seed', 7, 'Classes', {{'a', 'b'}});"
    code += f" bridgeReference(net, {{[1, 2, 3; 4, 5, 6]; [7; 8]}}, '{folder}/sequences.mat', 'Full', true);"
    run = subprocess.run(
        [program, "--no-gui", "--quiet", "--norc", "--eval", f"addpath({paths}); {code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return folder


def test_what_the_matlab_function_writes_is_read(octave: Path) -> None:
    """Oracle: the inputs, of which the stand-in network puts out the same."""
    found = read(octave / "images.mat", None)
    assert found.inputs[0].shape == (5000, 1, 1, 1) and found.classes == ("a", "b")  # type: ignore[union-attr]
    record = found.records["input"]
    expected = np.sin(np.arange(1, 5001)).astype(np.float32)
    np.testing.assert_array_equal(record.value, expected[record.index])
    assert len(record.index) == 4000 and record.elements == 5000 and record.scale == pytest.approx(1, abs=1e-4)
    sequences = read(octave / "sequences.mat", None)
    assert [each.shape for each in sequences.inputs[0]] == [(1, 3, 2), (1, 1, 2)]
    assert sequences.records["input"].value.tolist() == [1, 4, 2, 5, 3, 6, 7, 8] and sequences.records["input"].whole


def test_a_reference_fits_its_network(load: Load, recorded: Callable[..., Path], inputs: Callable[..., Any]) -> None:
    network = load("chain_cnn")
    x = inputs(network, 5)
    found = read(recorded(network, x), network)
    np.testing.assert_array_equal(found.inputs[0], x)
    assert found.outputs[0].shape == (5, 5) and found.facts["release"] == "2024b"  # type: ignore[union-attr]
    assert set(found.records) == {layer.name for layer in network.layers if not layer.row.is_output}
    assert ("Conv1", "Weights") in found.parameters and ("BN1", "TrainedMean") in found.parameters


def test_samples_that_were_changed_are_refused(
    load: Load, content: Callable[..., Any], inputs: Callable[..., Any], tmp_path: Path
) -> None:
    network = load("chain_cnn")
    held = content(network, inputs(network))
    held["Activations"][1, 0]["Index"] = held["Activations"][1, 0]["Index"] + 1
    reference.write(tmp_path / "reference.mat", held)
    with pytest.raises(UnreadableError, match="samples of the activation of 'Conv1' are not those of seed 1"):
        read(tmp_path / "reference.mat", network)


@pytest.mark.parametrize("keep", [200, 4000, 60_000])
def test_a_reference_cut_short_is_refused(
    keep: int, load: Load, recorded: Callable[..., Path], inputs: Callable[..., Any]
) -> None:
    network = load("chain_cnn")
    path = recorded(network, inputs(network))
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(UnreadableError):
        read(path, network)


def test_a_transposed_input_is_named(
    load: Load, content: Callable[..., Any], inputs: Callable[..., Any], tmp_path: Path
) -> None:
    network = load("chain_cnn")
    held = content(network, inputs(network))
    held["Inputs"][0, 0]["Value"] = held["Inputs"][0, 0]["Value"].swapaxes(0, 1)
    reference.write(tmp_path / "reference.mat", held)
    with pytest.raises(UsageError, match="transposed"):
        read(tmp_path / "reference.mat", network)


# What teams have


def test_a_mat_with_the_usual_names(load: Load, inputs: Callable[..., Any], tmp_path: Path) -> None:
    network = load("chain_cnn")
    x, y = inputs(network), np.arange(15.0).reshape(3, 5)
    savemat(tmp_path / "data.mat", {"X": x.transpose(2, 3, 1, 0), "YPred": y, "other": 3.0})
    found = read(tmp_path / "data.mat", network)
    np.testing.assert_array_equal(found.inputs[0], x)
    np.testing.assert_array_equal(found.outputs[0], y)


def test_an_npz_in_torchs_order(load: Load, inputs: Callable[..., Any], tmp_path: Path) -> None:
    network = load("chain_cnn")
    x = inputs(network)
    np.savez(tmp_path / "data.npz", images=x, answers=np.zeros((5, 3)))
    found = read(tmp_path / "data.npz", network, Names("images", "answers"))
    np.testing.assert_array_equal(found.inputs[0], x)
    assert found.outputs[0].shape == (3, 5)  # type: ignore[union-attr]


@pytest.mark.parametrize("form", ["categorical", "cellstr", "npz"])
def test_labels_become_positions(form: str, load: Load, inputs: Callable[..., Any], tmp_path: Path) -> None:
    network = load("residual")
    x, names = inputs(network, 4), ["owl", "cat", "cat", "fox"]
    data = {
        "X": x.transpose(2, 3, 1, 0),
        "YPred": {"categorical": _categorical(names), "cellstr": names, "npz": np.array(names)}[form],
    }
    path = tmp_path / ("data.npz" if form == "npz" else "data.mat")
    np.savez(path, **data) if form == "npz" else mat.write(path, data)
    found = read(path, network).outputs[0]
    assert isinstance(found, Labels) and found.classes.tolist() == [3, 0, 0, 2]


def _categorical(names: list[str]) -> Any:
    known = sorted(set(names))
    return categorical(known, [known.index(name) + 1 for name in names])


def test_a_label_that_is_no_class_is_named(load: Load, inputs: Callable[..., Any], tmp_path: Path) -> None:
    network = load("residual")
    mat.write(tmp_path / "data.mat", {"X": inputs(network, 2).transpose(2, 3, 1, 0), "YPred": ["owl", "crow"]})
    with pytest.raises(UsageError, match="'crow', which the network has not"):
        read(tmp_path / "data.mat", network)


def test_cells_of_sequences_and_fields_inside(load: Load, tmp_path: Path) -> None:
    network = load("lstm_classifier")
    cells = [np.arange(4.0 * t).reshape(4, t) for t in (3, 6)]
    mat.write(tmp_path / "data.mat", {"s": {"data": [cells, [np.zeros((1, 3)), np.ones((1, 3))]]}})
    found = read(tmp_path / "data.mat", network, Names("s.data.1", "s.data.2", output_dims="NC"))
    assert [each.shape for each in found.inputs[0]] == [(1, 3, 4), (1, 6, 4)]
    with pytest.raises(UsageError, match="there is no 'more'"):
        read(tmp_path / "data.mat", network, Names("s.more", "s.data.2"))


def test_a_csv_with_a_header(load: Load, tmp_path: Path) -> None:
    network = load("feature_mlp")
    (tmp_path / "data.csv").write_text("x1,x2,x3,x4,x5,y\n1,2,3,4,5,0.5\n6,7,8,9,10,0.25\n", encoding="utf-8")
    found = read(tmp_path / "data.csv", network, Names("x*", "y"))
    np.testing.assert_array_equal(found.inputs[0], [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]])
    np.testing.assert_array_equal(found.outputs[0], [[0.5], [0.25]])
    (tmp_path / "short.csv").write_text("x1,y\n1,2\n3\n", encoding="utf-8")
    with pytest.raises(UnreadableError, match="line 3"):
        read(tmp_path / "short.csv", network, Names("x*", "y"))


def test_two_csv_files_without_headers(load: Load, tmp_path: Path) -> None:
    network = load("feature_mlp")
    (tmp_path / "x.csv").write_text("1,2,3,4,5\n6,7,8,9,10\n", encoding="utf-8")
    (tmp_path / "y.csv").write_text("0.5\n0.25\n", encoding="utf-8")
    found = read(tmp_path / "x.csv", network, Names("data", str(tmp_path / "y.csv")))
    assert found.inputs[0].shape == (2, 5) and found.outputs[0].tolist() == [[0.5], [0.25]]  # type: ignore[union-attr]


def test_resized_images(load: Load, tmp_path: Path) -> None:
    """Oracle: imresize of each image by itself."""
    from bridge.images import imresize

    network = load("residual")
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3)).astype(np.uint8)
    np.savez(tmp_path / "data.npz", X=images, Y=np.zeros((2, 4)))
    found = read(tmp_path / "data.npz", network, Names("X", "Y", input_dims="NHWC", resize="bilinear"))
    expected = np.stack([imresize(image, (16, 12), "bilinear") for image in images]).transpose(0, 3, 1, 2)
    np.testing.assert_array_equal(found.inputs[0], expected)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (Names("Z", "YPred"), "holds no 'Z'"),
        (Names("X", "YPred", targets="T"), "outputs and targets at once"),
        (Names("X,X", "YPred"), "2 inputs are named, the network has 1"),
        (Names("X", "nowhere.mat:Y"), "does not exist"),
        (Names("X", "few"), "for each of 3 observations"),
        (Names("bad", "YPred"), "NaN or infinite"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(
    names: Names, message: str, load: Load, inputs: Callable[..., Any], tmp_path: Path
) -> None:
    network = load("chain_cnn")
    x = inputs(network).transpose(2, 3, 1, 0)
    bad = x.copy()
    bad[0, 0, 0, 0] = np.nan
    savemat(tmp_path / "data.mat", {"X": x, "bad": bad, "YPred": np.zeros((3, 5)), "few": np.zeros((2, 5))})
    with pytest.raises((UsageError, UnreadableError), match=message):
        read(tmp_path / "data.mat", network, names)


@pytest.mark.parametrize(
    ("held", "names"),
    [
        ({"features": "y"}, Names("x.npz:X")),
        ({"features": "y"}, Names("x.npz")),
        ({"X": "x", "features": "y"}, None),
        ({"X": "x", "features": "y"}, Names("X")),
        ({"pictures": "x", "features": "y"}, Names("pictures")),
        ({"pictures": "x", "features": "y"}, Names("", "features")),
        ({"pictures": "x"}, Names("", "y.npz")),
    ],
)
def test_the_only_variable_that_there_is(
    held: dict[str, str],
    names: Names | None,
    load: Load,
    inputs: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It needs no name: where the inputs are named, what is left are the outputs, and the other way round."""
    monkeypatch.chdir(tmp_path)
    network = load("chain_cnn")
    values = {"x": inputs(network, 3).transpose(2, 3, 1, 0), "y": np.arange(15.0).reshape(3, 5)}
    np.savez("x.npz", X=values["x"])
    np.savez("y.npz", anything=values["y"])
    savemat("features.mat", {name: values[key] for name, key in held.items()})
    found = read(Path("features.mat"), network, names)
    np.testing.assert_array_equal(found.inputs[0], inputs(network, 3))
    np.testing.assert_array_equal(np.asarray(found.outputs[0]).reshape(3, 5), values["y"])


@pytest.mark.parametrize("held", [["features"], ["pictures", "features"]])
def test_several_that_it_could_be_are_listed(held: list[str], load: Load, tmp_path: Path) -> None:
    savemat(tmp_path / "features.mat", {name: np.zeros((3, 5)) for name in held})
    with pytest.raises(UsageError, match=r"which variable of .* holds the (inputs|outputs)\?"):
        read(tmp_path / "features.mat", load("chain_cnn"))


def test_what_is_no_file_of_values_is_refused(load: Load, tmp_path: Path) -> None:
    network = load("chain_cnn")
    (tmp_path / "values.txt").write_text("1 2 3")
    for path in (tmp_path / "values.txt", tmp_path / "nothing.mat"):
        with pytest.raises(UsageError):
            read(path, network)
    np.savez(tmp_path / "object.npz", X=np.array([{}], dtype=object), Y=np.zeros((1, 5)))
    with pytest.raises(UnreadableError):
        read(tmp_path / "object.npz", network)
    (tmp_path / "cut.npz").write_bytes((tmp_path / "object.npz").read_bytes()[:-30])
    (tmp_path / "long.csv").write_text("x" * 200_000 + "\n1\n")  # more than the csv module takes in a field
    for path in (tmp_path / "cut.npz", tmp_path / "long.csv"):
        with pytest.raises(UnreadableError):
            read(path, network)
    with pytest.raises(UsageError, match="no such file"):
        read(tmp_path / ("long" * 1000 + ".npz"), network)
