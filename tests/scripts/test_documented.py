"""The recipes that MATLAB documents, written as scripts; the oracle is the recipe of the same name that ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.network import Network
from bridge.networks.build import architecture
from bridge.recipes.recipe import Recipe
from bridge.scripts import read

CLASSES = ("a", "b", "c")
DATA = """imds = imageDatastore('MerchData','IncludeSubfolders',true,'LabelSource','foldernames');
[imdsTrain,imdsValidation] = splitEachLabel(imds,0.7,'randomized');
"""
SCRIPTS = {
    "googlenet": DATA
    + """net = googlenet;
inputSize = net.Layers(1).InputSize;
lgraph = layerGraph(net);
[learnableLayer,classLayer] = findLayersToReplace(lgraph);
numClasses = numel(categories(imdsTrain.Labels));
if isa(learnableLayer,'nnet.cnn.layer.FullyConnectedLayer')
    newLearnableLayer = fullyConnectedLayer(numClasses, ...
        'Name','new_fc', ...
        'WeightLearnRateFactor',10, ...
        'BiasLearnRateFactor',10);
elseif isa(learnableLayer,'nnet.cnn.layer.Convolution2DLayer')
    newLearnableLayer = convolution2dLayer(1,numClasses,'Name','new_conv','WeightLearnRateFactor',10,'BiasLearnRateFactor',10);
end
lgraph = replaceLayer(lgraph,learnableLayer.Name,newLearnableLayer);
lgraph = replaceLayer(lgraph,classLayer.Name,classificationLayer('Name','new_classoutput'));
figure('Units','normalized','Position',[0.3 0.3 0.4 0.4]);
plot(lgraph)
layers = lgraph.Layers;
connections = lgraph.Connections;
layers(1:10) = freezeWeights(layers(1:10));
lgraph = createLgraphUsingConnections(layers,connections);
augmenter = imageDataAugmenter('RandXReflection',true,'RandXTranslation',[-30 30],'RandYTranslation',[-30 30], ...
    'RandXScale',[0.9 1.1],'RandYScale',[0.9 1.1]);
augimdsTrain = augmentedImageDatastore(inputSize(1:2),imdsTrain,'DataAugmentation',augmenter);
augimdsValidation = augmentedImageDatastore(inputSize(1:2),imdsValidation);
miniBatchSize = 10;
options = trainingOptions('sgdm','MiniBatchSize',miniBatchSize,'MaxEpochs',6,'InitialLearnRate',3e-4,'Shuffle','every-epoch', ...
    'ValidationData',augimdsValidation,'ValidationFrequency',floor(numel(augimdsTrain.Files)/miniBatchSize),'Verbose',false);
net = trainNetwork(augimdsTrain,lgraph,options);
""",
    "alexnet": DATA
    + """net = alexnet;
layersTransfer = net.Layers(1:end-3);
layers = [
    layersTransfer
    fullyConnectedLayer(numel(categories(imdsTrain.Labels)),'Name','fc','WeightLearnRateFactor',20,'BiasLearnRateFactor',20)
    softmaxLayer
    classificationLayer];
pixelRange = [-30 30];
augmenter = imageDataAugmenter('RandXReflection',true,'RandXTranslation',pixelRange,'RandYTranslation',pixelRange);
train = augmentedImageDatastore([227 227 3],imdsTrain,'DataAugmentation',augmenter);
options = trainingOptions('sgdm','MiniBatchSize',10,'MaxEpochs',6,'InitialLearnRate',1e-4,'Shuffle','every-epoch', ...
    'ValidationData',augmentedImageDatastore([227 227 3],imdsValidation),'ValidationFrequency',3,'Verbose',false);
net = trainNetwork(train,layers,options);
""",
    "squeezenet": DATA
    + """net = squeezenet;
lgraph = layerGraph(net);
numClasses = numel(categories(imdsTrain.Labels));
lgraph = replaceLayer(lgraph,'conv10',convolution2dLayer([1,1],numClasses,'WeightLearnRateFactor',10,'BiasLearnRateFactor',10,"Name",'new_conv'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','new_classoutput'));
options = trainingOptions('sgdm','MiniBatchSize',11,'MaxEpochs',8,'InitialLearnRate',1e-4,'ValidationFrequency',5, ...
    'ValidationData',augmentedImageDatastore([227 227],imdsValidation),'Verbose',false);
net = trainNetwork(augmentedImageDatastore([227 227],imdsTrain),lgraph,options);
""",
}


def learnables(network: Network) -> dict[str, tuple[object, object]]:
    """Factors in the order of the network: the names of new layers may differ."""
    return {
        f"{index}/{name}": (each.learn_rate_factor, 0 if each.frozen else each.l2_factor)
        for index, layer in enumerate(network.layers) for name, each in layer.learnables.items()
    }  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_documented_recipe(name: str, tmp_path: Path) -> None:
    path = tmp_path / "script.m"
    path.write_text(SCRIPTS[name], encoding="utf-8")
    found, shipped = read(path), Recipe.load(f"{name}-transfer")
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    recipe = found.recipe
    assert recipe.takes_classes and recipe.base.name == name
    assert replace(recipe.data, path="") == shipped.data
    assert {key: value for key, value in recipe.options.given if key != "Verbose"} == dict(shipped.options.given)
    base = architecture(name)
    assert learnables(recipe.network(base, classes=CLASSES)) == learnables(shipped.network(base, classes=CLASSES))


def test_retraining_all_but_the_head(tmp_path: Path) -> None:
    """The recipe of R2024a on, with MathWorks' helpers called and not in the folder."""
    path = tmp_path / "script.m"
    path.write_text(
        """imds = imageDatastore("flowers",IncludeSubfolders=true,LabelSource="foldernames");
[imdsTrain,imdsValidation,imdsTest] = splitEachLabel(imds,0.7,0.15,"randomized");
classNames = categories(imds.Labels);
numClasses = numel(classNames);
net = imagePretrainedNetwork(NumClasses=numClasses);
[layerName,learnableNames] = networkHead(net);
net = freezeNetwork(net,LayersToIgnore=layerName);
options = trainingOptions("adam", ValidationData=augmentedImageDatastore([227 227],imdsValidation), ValidationFrequency=5, Metrics="accuracy");
net = trainnet(augmentedImageDatastore([227 227],imdsTrain),net,"crossentropy",options);
""",
        encoding="utf-8",
    )
    found, shipped = read(path), Recipe.load("retrain-head")
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    assert found.recipe.options == shipped.options and replace(found.recipe.data, path="") == shipped.data
    base = architecture("squeezenet")
    assert learnables(found.recipe.network(base, classes=CLASSES)) == learnables(shipped.network(base, classes=CLASSES))
