"""Data that a script does not make: how many classes they have, and how many observations, is theirs to tell.

The oracle is what MATLAB requires: a classification network has as many outputs as the data have classes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.scripts import Reading, read

COUNTS = [
    "numel(categories(imdsTrain.Labels))", "numel(categories(YTrain))", "length(unique(YTrain))", "numel(classes)",
    "height(countEachLabel(imdsTrain))", "size(countEachLabel(imdsTrain),1)", "width(vehicles)-1", "size(TTrain,2)",
    "numel(unique(imdsTrain.Labels))", "max(YTrain)", "numberOfClasses", "length(classNames)"
]  # fmt: skip


def reading(folder: Path, source: str) -> Reading:
    path = folder / "script.m"
    path.write_text(source, encoding="utf-8")
    return read(path)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("form", ["fullyConnectedLayer({})", "fullyConnectedLayer(n,'Name','new')"])
def test_class_counts(count: str, form: str, tmp_path: Path) -> None:
    layers = f"n = {count};\nlayers = [net.Layers(1:end-3); {form.format(count)}; softmaxLayer; classificationLayer];\n"
    found = reading(
        tmp_path, f"net = alexnet;\n{layers}t = trainNetwork(imdsTrain, layers, trainingOptions('sgdm'));\n"
    )
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    assert found.recipe.takes_classes
    network = found.recipe.network(found.recipe.untrained().load_base(), classes=("a", "b", "c"))
    assert network.head().layer.OutputSize == 3


@pytest.mark.parametrize("count", ["numResponses", "size(YTrain,2)", "numel(names)"])
def test_a_count_of_responses_is_not_one_of_classes(count: str, tmp_path: Path) -> None:
    layers = f"layers = [net.Layers(1:end-3); fullyConnectedLayer({count}); regressionLayer];\n"
    found = reading(tmp_path, f"net = alexnet;\n{layers}t = trainNetwork(X, Y, layers, trainingOptions('sgdm'));\n")
    assert found.exit_code == 3 and any("OutputSize" in entry.what for entry in found.not_understood)


def test_a_count_within_the_network_is_not_one_of_classes(tmp_path: Path) -> None:
    layers = "layers = [net.Layers(1:end-3); fullyConnectedLayer(width); fullyConnectedLayer(3); softmaxLayer; classificationLayer];\n"
    found = reading(tmp_path, f"net = alexnet;\n{layers}t = trainNetwork(X, layers, trainingOptions('sgdm'));\n")
    assert found.exit_code == 3 and any("OutputSize" in entry.what for entry in found.not_understood)


CLASSIFIER = "layers = [imageInputLayer([8 8 1]); fullyConnectedLayer(3); softmaxLayer; classificationLayer];\n"
RESPONSES = "layers = [imageInputLayer([8 8 1]); fullyConnectedLayer({}); regressionLayer];\n"
FREQUENCIES = {
    "files of what trains": (CLASSIFIER, "floor(numel(ds.Files)/32)", "ds", True),
    "observations of what trains": (CLASSIFIER, "floor(ds.NumObservations/32)", "ds", True),
    "files of other data": (CLASSIFIER, "floor(numel(other.Files)/32)", "ds", False),
    "another mini-batch": (CLASSIFIER, "floor(numel(ds.Files)/16)", "ds", False),
    "labels": (CLASSIFIER, "floor(numel(Y)/32)", "X,Y", True),
    "labels, at least one": (CLASSIFIER, "max(1,floor(numel(Y)/32))", "X,Y", True),
    "one response": (RESPONSES.format(1), "floor(numel(Y)/32)", "X,Y", True),
    "two responses": (RESPONSES.format(2), "floor(numel(Y)/32)", "X,Y", False),
    "pixels": (CLASSIFIER, "floor(numel(X)/32)", "X,Y", False)
}  # fmt: skip


@pytest.mark.parametrize("form", FREQUENCIES)
def test_validation_once_an_epoch(form: str, tmp_path: Path) -> None:
    layers, frequency, data, known = FREQUENCIES[form]
    options = f"o = trainingOptions('sgdm','MiniBatchSize',32,'ValidationFrequency',{frequency});\n"
    found = reading(tmp_path, f"{layers}{options}t = trainNetwork({data}, layers, o);\n")
    assert found.recipe is not None
    assert found.recipe.data.validate_each_epoch == known and found.exit_code == (0 if known else 3)


def test_outputs_of_one_call_are_not_each_other(tmp_path: Path) -> None:
    make = "[X,Y] = makeData();\n"
    options = "o = trainingOptions('sgdm','MiniBatchSize',32,'ValidationFrequency',floor(numel(X)/32));\n"
    found = reading(tmp_path, f"{make}{CLASSIFIER}{options}t = trainNetwork(X, Y, layers, o);\n")
    assert found.exit_code == 3


LOSSES = {
    "@crossentropy": ("classes", "crossentropy"),
    "@(Y,T) crossentropy(Y,T)": ("classes", "crossentropy"),
    "@(P,Q)crossentropy(P,Q)": ("classes", "crossentropy"),
    "@(Y,T) crossentropy(T,Y)": ("classes", ""),
    "@mse": ("response", ""),
    "@(Y,T) mse(Y,T)": ("response", ""),
    "@l2loss": ("response", "l2loss"),
    "@(Y,T) l1loss(Y,T)": ("response", "l1loss"),
    "@(Y,T) huber(Y,T)": ("response", "huber"),
    "@(Y,T) l2loss(Y, T)": ("responses", ""),
    "@(Y,T) 2*crossentropy(Y,T)": ("classes", ""),
    "@ownLoss": ("classes", "")
}  # fmt: skip
NETWORKS = {
    "classes": "[featureInputLayer(4); fullyConnectedLayer(3); softmaxLayer]",
    "response": "[featureInputLayer(4); fullyConnectedLayer(1)]",
    "responses": "[featureInputLayer(4); fullyConnectedLayer(2)]",
}


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_by_handle(loss: str, tmp_path: Path) -> None:
    """Functions of dlarray divide their sum by the observations, trainnet's losses by elements: what differs is listed."""
    network, name = LOSSES[loss]
    call = f"net = trainnet(X, Y, layers, {loss}, trainingOptions('adam'));\n"
    found = reading(tmp_path, f"layers = {NETWORKS[network]};\n{call}")
    assert found.recipe is not None and found.recipe.loss.name == name
    assert found.exit_code == (0 if name else 3)


def test_a_loss_of_pixels_by_handle(tmp_path: Path) -> None:
    layers = "layers = [imageInputLayer([8 8 1]); convolution2dLayer(1,3); softmaxLayer];\n"
    found = reading(tmp_path, f"{layers}net = trainnet(X, layers, @crossentropy, trainingOptions('adam'));\n")
    assert found.exit_code == 3


NESTED = """function net = trainIt(folder)
net0 = alexnet;
layers = net0.Layers;
rate = 0.01;
layers = slow(layers);
net = trainNetwork(imageDatastore(folder), layers, trainingOptions('sgdm','InitialLearnRate',rate));
    function l = slow(l)
        l(2).WeightLearnRateFactor = 0.25;
        {}
    end
end
"""


def test_functions_within_a_function(tmp_path: Path) -> None:
    found = reading(tmp_path, NESTED.format("k = 1;"))
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    assert found.recipe.options.InitialLearnRate == 0.01
    assert [edit.arguments["factor"] for edit in found.recipe.edits] == [0.25]


def test_a_variable_that_a_function_within_sets_is_not_known(tmp_path: Path) -> None:
    """In MATLAB the two functions share it."""
    found = reading(tmp_path, NESTED.format("rate = 5;"))
    assert found.exit_code == 3 and any("InitialLearnRate" in entry.what for entry in found.not_understood)
