"""Networks wherever they lie in a .mat file: addresses, which one is meant, what is told of the others."""

from __future__ import annotations

import json
import pickle
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bridge
from bridge.errors import BridgeError, UsageError
from bridge.readers.mat import hdf5
from bridge.readers.mat.choice import NoNetworkError, SeveralNetworksError
from bridge.readers.mat.contents import contents
from fixtures import layers as L
from fixtures import mat, networks
from fixtures.layers import Net
from fixtures.objects import (
    Obj,
    Structs,
    categorical,
    cell,
    shallow_network,
    string,
    table,
    training_info,
    training_options,
)
from tests.real import REAL, needs_real
from tests.shell import Command

CONTAINERS = ("v5", "v7.3")


def written(path: Path, container: Any = "v5", **variables: Any) -> Path:
    mat.write(path / "file.mat", variables, container=container)
    return path / "file.mat"


def layers(rng: int = 0) -> Net:
    """Untrained layers."""
    made = networks.feature_mlp(rng)
    return Net("Layers", tuple(L.untrained(layer) for layer in made.layers))


NET = networks.feature_mlp()
PLACES: dict[str, tuple[dict[str, Any], str]] = {
    "a field": ({"s": {"a": {"net": NET}}}, "s.a.net"),
    "a cell": ({"results": [1.0, "text", {"net": NET}]}, "results{3}.net"),
    "a cell in a column": ({"results": cell([1.0, NET])}, "results{2}"),
    "a cell in rows and columns": ({"results": cell([1.0, 2.0, 3.0, NET], 2, 2)}, "results{4}"),
    "a struct array": ({"s": Structs(({"net": 1.0}, {"net": NET}))}, "s(2).net"),
    "a property": ({"agent": Obj("rl.agent.rlAgent", {"Critic": Obj("rl.f", {"Model": NET})})}, "agent.Critic.Model"),
    "a saved property": ({"my": Obj("my.Class", {"Version": 1.0, "Best": NET}, saveobj=True)}, "my.Best"),
    "an object of several": ({"q": Obj("dlquantizer", {"NetworkObject": NET, "Network": 1.0})}, "q.NetworkObject"),
    "a map": ({"m": Obj("containers.Map", {"serialization": {"keys": ["a"], "values": [NET]}})}, "m.serialization.values{1}"),
    "an old object": ({"s": {"old": shallow_network(np.random.default_rng(1))}}, "s.old"),
    "a cell of a property": ({"e": Obj("experiments.Result", {"Trials": [{"net": NET}]})}, "e.Trials{1}.net"),
}  # fmt: skip


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("place", PLACES)
def test_a_network_is_found_wherever_it_lies(tmp_path: Path, place: str, container: str) -> None:
    variables, address = PLACES[place]
    path = written(tmp_path, container, x=np.ones((2, 3)), **variables)
    assert list(contents(path).networks) == [address]
    expected = bridge.load(
        written(tmp_path, net=shallow_network(np.random.default_rng(1)) if "old" in address else NET)
    )
    path = written(tmp_path, container, **variables)
    for variable in (None, address, address.replace(".", " . "), address.partition(".")[0]):
        found = bridge.load(path, variable=variable)
        assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
        for (_, _, one), (_, _, other) in zip(found.learnables(), expected.learnables(), strict=True):
            np.testing.assert_array_equal(one.value, other.value)


def test_one_value_may_be_counted(tmp_path: Path) -> None:
    path = written(tmp_path, s={"net": NET}, other=networks.feature_mlp(1))
    assert bridge.load(path, variable="s(1).net(1)").kind == "dlnetwork"


@pytest.mark.parametrize(
    "address", ["s.nets", "s{1}", "s(2).net", "results{9}", "s.net.Layers", "x", "S.net", "", "s."]
)
def test_an_address_that_leads_to_no_network(tmp_path: Path, address: str) -> None:
    path = written(tmp_path, s={"net": NET}, results=[1.0], x=1.0)
    with pytest.raises(UsageError, match="holds no network named") as refused:
        bridge.load(path, variable=address)
    assert refused.value.cause and refused.value.hint


def test_an_object_behind_two_addresses_is_one_network(tmp_path: Path) -> None:
    """Oracle: the numbers of objects that the file itself gives."""
    shared = Obj("my.Holder", {"net": NET})

    class Sharing(mat.Subsystem):
        def _add(self, made: Obj) -> int:
            if made is shared and self._objects:
                return 1
            return super()._add(made)

    original, mat.Subsystem = mat.Subsystem, Sharing  # type: ignore[misc]
    try:
        path = written(tmp_path, a=shared, b=shared)
    finally:
        mat.Subsystem = original  # type: ignore[misc]
    assert list(contents(path).networks) == ["a.net"]
    assert bridge.load(path, variable="b.net").kind == "dlnetwork"  # any way to it may be named


# Which one is meant

TRAINED = networks.chain_cnn()
GRAPH = Net("LayerGraph", tuple(L.untrained(layer) for layer in NET.layers), ())


@pytest.mark.parametrize("container", CONTAINERS)
def test_the_one_trained_network_is_meant(tmp_path: Path, container: str) -> None:
    log, options = training_info([1.0]), training_options("sgdm")
    path = written(tmp_path, container, layers=layers(), lgraph=GRAPH, net=TRAINED, options=options, info=log)
    found = bridge.load(path)
    assert found.kind == "SeriesNetwork" and found.training_options is not None and found.training_info is not None
    assert [note for note in found.notes if "is read" in note] == [
        "'net' is read; the file also holds layers (untrained Layers), lgraph (untrained nnet.cnn.LayerGraph)"
    ]


def test_layers_with_weights_are_meant_beside_those_without(tmp_path: Path) -> None:
    graph = Net("LayerGraph", NET.layers, mat_pairs(NET))
    assert bridge.load(written(tmp_path, layers=layers(), lgraph=graph)).kind == "LayerGraph"


def mat_pairs(net: Net) -> tuple[tuple[str, str], ...]:
    names = [layer.name for layer in net.layers]
    return tuple(pairwise(names))


def test_layers_alone_are_read(tmp_path: Path) -> None:
    assert bridge.load(written(tmp_path, layers=layers(), x=1.0)).kind == "Layers"


def test_equal_copies_are_one_network(tmp_path: Path) -> None:
    found = bridge.load(written(tmp_path, net=TRAINED, copy={"net": networks.chain_cnn()}, layers=layers()))
    assert found.notes == (
        "'net' is read; the file also holds copy.net (equal SeriesNetwork), layers (untrained Layers)",
    )
    with pytest.raises(SeveralNetworksError):
        bridge.load(written(tmp_path, net=TRAINED, copy=networks.chain_cnn(1)))


def test_several_are_asked_for(tmp_path: Path) -> None:
    path = written(tmp_path, s={"a": TRAINED, "b": NET}, layers=layers())
    with pytest.raises(SeveralNetworksError, match="holds 3 networks") as refused:
        bridge.load(path)
    assert refused.value.cause == "they are s.a, s.b, layers" and "--variable" in refused.value.hint
    with pytest.raises(SeveralNetworksError, match="s in .* holds 2 networks"):
        bridge.load(path, variable="s")


def test_inspect_lists_several(tmp_path: Path, command: Command) -> None:
    path = written(tmp_path, s={"cnn": TRAINED, "mlp": NET}, layers=layers(), options=training_options("adam"))
    answer = command("inspect", path)
    assert answer.code == 0 and not answer.err
    rows = [line.split() for line in answer.out.splitlines()]
    assert ["s.cnn", "SeriesNetwork"] in [row[:2] for row in rows] and ["s.mlp", "dlnetwork"] in [
        row[:2] for row in rows
    ]
    assert next(row for row in rows if row[:1] == ["layers"])[-1] == "untrained"
    assert "--variable s.cnn" in answer.out and "options (training options)" in answer.out
    facts = json.loads(command("inspect", path, "--json").out)
    assert [each["address"] for each in facts["networks"]] == ["s.cnn", "s.mlp", "layers"]
    assert [each["state"] for each in facts["networks"]] == ["trained", "trained", "untrained"]
    chosen = command("inspect", path, "--variable", "s.mlp")
    assert chosen.code == 0 and "dlnetwork" in chosen.out
    assert command("import", path).code == 2


def test_inspect_tells_beside_a_network_what_is_wrong_with_it(tmp_path: Path, command: Command) -> None:
    broken = Obj("SeriesNetwork", {"Version": 1.0, "Layers": 3.0}, saveobj=True)
    answer = command("inspect", written(tmp_path, a=TRAINED, b=NET, c=broken))
    assert answer.code == 0 and "note: 'c': " in answer.out and "holds no layers" in answer.out


# What lies beside it


NAMES = ("a", "b", "c")


def classifier() -> Net:
    """A dlnetwork that ends in a softmax of three, without class names."""
    rng = np.random.default_rng(3)
    made = (
        L.featureInputLayer(4, "in"),
        L.fullyConnectedLayer(rng, "fc", 4, 3),
        L.softmaxLayer("soft", sequences=True),
    )
    return Net("dlnetwork", made)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    "classes", [cell(NAMES), list(NAMES), string(*NAMES), categorical(NAMES), categorical(NAMES, [1, 1, 2, 3, 3])]
)
def test_class_names_that_fit_are_taken(tmp_path: Path, classes: Any, container: str) -> None:
    found = bridge.load(written(tmp_path, container, net=classifier(), classes=classes, files=["1", "2"], x=1.0))
    assert found.classes == NAMES
    assert "the classes are those of 'classes' beside it, as many as the network has outputs" in found.notes


def test_several_that_fit_are_listed(tmp_path: Path) -> None:
    path = written(tmp_path, net=classifier(), classes=list(NAMES), authors=["x", "y", "z"])
    found = bridge.load(path)
    assert found.classes is None and any("as class names fit classes, authors" in note for note in found.notes)
    assert bridge.load(path, classes=f"{path}:authors").classes == ("x", "y", "z")
    with pytest.raises(UsageError, match="holds no names in 'author'"):
        bridge.load(path, classes=f"{path}:author")


def test_equal_lists_of_names_are_one(tmp_path: Path) -> None:
    path = written(
        tmp_path, net=classifier(), YTrain=categorical(NAMES, [1, 2, 3, 3]), YTest=categorical(NAMES, [3, 3])
    )
    assert bridge.load(path).classes == NAMES


def test_names_beside_a_regression_are_no_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    made = Net("dlnetwork", (L.featureInputLayer(4, "in"), L.fullyConnectedLayer(rng, "fc", 4, 3)))
    assert bridge.load(written(tmp_path, net=made, predictors=list(NAMES))).classes is None


def test_scalings_statistics_and_inputs_are_told(tmp_path: Path) -> None:
    settings = {"name": "mapminmax", "xmin": np.zeros((4, 1)), "gain": np.ones((4, 1))}
    path = written(
        tmp_path, net=classifier(), ps=settings, mu=np.ones((4, 1)), sigmaX=2.0, XTest=np.ones((4, 9)), music=1.0
    )
    notes = bridge.load(path).notes
    assert "beside it are settings of scalings, which are not applied: ps (mapminmax)" in notes
    assert any("statistics of its data" in note and "mu (4x1 double), sigmaX (1x1 double)" in note for note in notes)
    assert any(note.startswith("of the size of its input are") and "XTest (4x9 double)" in note for note in notes)
    assert not any("music" in note for note in notes)


def test_options_and_log_are_those_of_the_same_struct(tmp_path: Path) -> None:
    one, two = (
        {"net": NET, "options": training_options("adam", MaxEpochs=float(n)), "info": training_info([float(n)])}
        for n in (1, 2)
    )
    path = written(tmp_path, trials=Structs((one, two)))
    found = bridge.load(path, variable="trials(2).net")
    assert found.training_options is not None and found.training_options["MaxEpochs"] == 2
    assert found.training_info is not None and found.training_info["TrainingLoss"].item() == 2
    assert not any("is taken" in note for note in found.notes)


LABELS = {f"x{index}": cell([f"label {number}" for number in range(20)]) for index in range(5)}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("held", "address"),
    [
        ({"c": [1.0, {"TrainingLoss": np.ones((1, 3))}]}, "c{2}"),
        ({"c": [{"a": {"TrainingHistory": {"Iteration": 1.0}}}]}, "c{1}.a"),
        ({"s": Structs(({"o": "x"}, {"o": training_options("adam")}))}, "s(2).o"),
        ({"s": {"old": shallow_network(np.random.default_rng(1))}}, "s.old"),
        ({"t": table({"net": cell([NET], 1, 1)}, 1)}, "t.net{1}"),
    ],
)
def test_a_workspace_is_looked_through(tmp_path: Path, held: dict[str, Any], address: str, container: str) -> None:
    """What is looked for lies in a cell, a struct, an object or a table among variables that hold nothing of it."""
    found = contents(written(tmp_path, container, **LABELS, words=string("a", "b"), **held))
    assert [*found.networks, *found.options, *found.logs] == [address]
    assert found.others["x1"] == "20x1 cell" and found.others["words"] == "2x1 cell"
    assert list(found.values["x1"])[:2] == ["label 0", "label 1"]


def test_cells_of_texts_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In version 7.3 each text is an object of its own, which takes its time."""
    decoded = 0

    def counted(file: hdf5.File, item: Any, depth: int = 0) -> Any:
        nonlocal decoded
        decoded += 1
        return decode(file, item, depth)

    decode = hdf5.File.decode
    monkeypatch.setattr(hdf5.File, "decode", counted)
    counts = []
    for variables in ({}, LABELS):
        decoded = 0
        assert bridge.load(written(tmp_path, "v7.3", net=classifier(), **variables)).notes == ()
        counts.append(decoded)
    assert counts[0] == counts[1]


def test_what_a_file_holds_survives_a_copy(tmp_path: Path) -> None:
    """An error that lists it is passed on by other processes."""
    with pytest.raises(SeveralNetworksError) as refused:
        bridge.load(written(tmp_path, one=TRAINED, two=NET, c=[1.0]))
    copy = pickle.loads(pickle.dumps(refused.value))
    assert list(copy.held.networks) == ["one", "two"] and copy.held.values["c"][0].item() == 1


# Names


def test_layers_without_names_get_matlabs(tmp_path: Path) -> None:
    """Oracle: the names that training gives, as MathWorks' documentation prints them: conv_1, conv_2, fc, softmax."""
    rng = np.random.default_rng(0)
    made = [
        L.imageInputLayer((8, 8, 1), "", "none", None),
        L.convolution2dLayer(rng, "", (3, 3), 1, 4),
        L.reluLayer(""),
        L.convolution2dLayer(rng, "", (3, 3), 4, 4),
        L.reluLayer("relu_1"),
        L.fullyConnectedLayer(rng, "", (4, 4, 4), 3),
        L.softmaxLayer(""),
        L.classificationLayer("", ["a", "b", "c"]),
    ]
    found = bridge.load(written(tmp_path, layers=Net("Layers", tuple(L.untrained(layer) for layer in made))))
    names = ["imageinput", "conv_1", "relu", "conv_2", "relu_1", "fc", "softmax", "classoutput"]
    assert [layer.name for layer in found.layers] == names
    assert any(note.startswith("layers without a name have the one that training gives them") for note in found.notes)


# Genuine files

MAT = REAL / "mat"
ALONE = {  # files that several networks could be read from, and which one is meant
    "cnn_with_image_and_score": "net",
    "cnn_with_log_and_options": "net",
    "workspace_layers_and_network": "network",
    "workspace_network_layers_options": "trainedNet",
    "rl_pg_agent_workspace_unnamed_layer": "agent.Actor.adModelExternal",
    "rcnn_detector_workspace": "rcnn",  # made of net
    "shallow_network_with_outputs": "net",  # trained_net is its equal
}
SEVERAL = {
    "cell_of_five_networks": [f"net_cnn{{{n}}}" for n in range(1, 6)],
    "rl_ddpg_agent_R2019a": [
        f"agent.{each}.adModelExternal" for each in ("Critic", "TargetCritic", "Actor", "TargetActor")
    ],
    "rl_ppo_agent_layergraph": [
        "actor.Model_.Net", "agent.Critic.Model_.Net", "agent.Actor.Model_.Net", "critic.Model_.Net",
    ],
    "rl_td3_agent_dlnetworks": ["agentObj.Critic.Model_.Network_", "agentObj.Actor.Model_.Network_"],
    "shallow_network_with_delays": ["net", "netc", "nets"],
}  # fmt: skip


@needs_real
@pytest.mark.parametrize("name", sorted(path.stem for path in MAT.glob("*.mat")))
def test_every_genuine_file_is_inspected(name: str, command: Command) -> None:
    """What holds a network is shown or listed, without an option; what holds none says what it holds."""
    answer = command("inspect", MAT / f"{name}.mat")
    found = contents(MAT / f"{name}.mat")
    assert not found.spoiled
    if found.networks or found.options or found.logs:
        assert answer.code == 0 and not answer.err
    else:
        assert answer.code == 2 and "holds no network" in answer.err and "it holds" in answer.err
    assert not any(word in answer.out + answer.err for word in ("damaged", "Opaque", "Unread"))


NOT_BUILT = {
    "bilstm_layers_untrained_2022": "is not trained",
    "untrained_layers_gate_factors": "is not trained",
    "function_layer_dlnetwork_function_handle": "FunctionLayer with PredictFcn = @(x).001*x",
}


@needs_real
@pytest.mark.parametrize("name", sorted(path.stem for path in MAT.glob("*.mat")))
def test_every_genuine_network_becomes_a_module_without_an_option(name: str) -> None:
    """But for files of several trained networks, layers without weights, and MATLAB code."""
    try:
        network = bridge.load(MAT / f"{name}.mat")
    except SeveralNetworksError:
        assert name in SEVERAL
    except NoNetworkError as error:
        assert not error.held.networks
    else:
        if name in NOT_BUILT:
            with pytest.raises(BridgeError, match=re.escape(NOT_BUILT[name])):
                network.to_torch()
        else:
            assert sum(1 for _ in network.to_torch().parameters()) > 0


@needs_real
@pytest.mark.parametrize("name", ALONE)
def test_the_trained_network_of_a_genuine_workspace(name: str) -> None:
    assert any(note.startswith(f"'{ALONE[name]}' is read") for note in bridge.load(MAT / f"{name}.mat").notes)


@needs_real
@pytest.mark.parametrize("name", SEVERAL)
def test_the_networks_of_a_genuine_file(name: str) -> None:
    found = contents(MAT / f"{name}.mat").networks
    assert [address for address, held in found.items() if held.is_trained] == SEVERAL[name]
    for address in SEVERAL[name]:
        assert len(bridge.load(MAT / f"{name}.mat", variable=address).layers) > 2


@needs_real
def test_a_faster_rcnn_of_2018_branches_where_its_file_says() -> None:
    """Oracle: BranchLayerIdx and the fields of the detector, as another reader sees them."""
    path = MAT / "faster_rcnn_V1.5_vehicle_2018.mat"
    network = bridge.load(path, variable="detector.Network")
    names = [layer.name for layer in network.layers]
    (branch,) = [c for c in network.connections if c.destination == "fc_reg"]
    assert sorted(c.destination for c in network.connections if c.source == branch.source) == ["fc_2", "fc_reg"]
    assert names[names.index("classoutput") :] == ["classoutput", "fc_reg", "boxRegression", "roiInput"]
    assert network.classes == ("vehicle", "Background")
    assert network.layers["conv_1"].PaddingSize == (1, 1, 1, 1) and network.sizes["relu_2"][0].size == (40, 22, 32)
    proposals = bridge.load(path, variable="detector.RegionProposalNetwork")
    frozen = {layer.name for layer, _, each in proposals.learnables() if each.frozen}
    assert frozen == {"conv_1", "conv_2"}  # the layers that both networks share
