% fine tuning of googlenet on five kinds of fruit
net = googlenet;
imds = imageDatastore('fruit','IncludeSubfolders',true,'LabelSource','foldernames');
[imdsTrain,imdsValidation] = splitEachLabel(imds,0.7);
inputSize = net.Layers(1).InputSize;
lgraph = layerGraph(net);
numClasses = numel(categories(imdsTrain.Labels));
newLearnableLayer = fullyConnectedLayer(numClasses, ...
    'Name','new_fc', ...
    'WeightLearnRateFactor',10, ...
    'BiasLearnRateFactor',10);
lgraph = replaceLayer(lgraph,'loss3-classifier',newLearnableLayer);
newClassLayer = classificationLayer('Name','new_classoutput');
lgraph = replaceLayer(lgraph,'output',newClassLayer);
layers = lgraph.Layers;
connections = lgraph.Connections;
layers(1:10) = freezeWeights(layers(1:10));
lgraph = createLgraphUsingConnections(layers,connections);
pixelRange = [-30 30];
scaleRange = [0.9 1.1];
imageAugmenter = imageDataAugmenter('RandXReflection',true,'RandXTranslation',pixelRange, ...
    'RandYTranslation',pixelRange,'RandXScale',scaleRange,'RandYScale',scaleRange);
augTrain = augmentedImageDatastore(inputSize(1:2),imdsTrain,'DataAugmentation',imageAugmenter);
augVal = augmentedImageDatastore(inputSize(1:2),imdsValidation);
miniBatchSize = 10;
valFrequency = floor(numel(augTrain.Files)/miniBatchSize);
options = trainingOptions('sgdm','MiniBatchSize',miniBatchSize,'MaxEpochs',6,'InitialLearnRate',3e-4, ...
    'Shuffle','every-epoch','ValidationData',augVal,'ValidationFrequency',valFrequency, ...
    'Verbose',false,'Plots','training-progress');
net = trainNetwork(augTrain,lgraph,options);
