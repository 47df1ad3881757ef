close all; clear; clc
net = alexnet();
layersTransfer = net.Layers(1:end-3);
numClasses = 4;
layers = [
    layersTransfer
    fullyConnectedLayer(numClasses,'WeightLearnRateFactor',20,'BiasLearnRateFactor',20)
    softmaxLayer
    classificationLayer];
imds = imageDatastore(fullfile('data','tiles'),'IncludeSubfolders',true,'LabelSource','foldernames');
[trainSet,valSet] = splitEachLabel(imds,0.7,'randomized');
aug = imageDataAugmenter('RandXReflection',true,'RandXTranslation',[-30 30],'RandYTranslation',[-30 30]);
augTrain = augmentedImageDatastore([227 227],trainSet,'DataAugmentation',aug);
augVal = augmentedImageDatastore([227 227],valSet);
options = trainingOptions('sgdm', 'MiniBatchSize',10, 'MaxEpochs',6, 'InitialLearnRate',1e-4, ...
    'Shuffle','every-epoch', 'ValidationData',augVal, 'ValidationFrequency',3, 'Verbose',false);
netTransfer = trainNetwork(augTrain,layers,options);
