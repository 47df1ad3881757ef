%% Semantic segmentation with class weighting (CamVid like)
imgDir   = fullfile(pwd,'images');
labelDir = fullfile(pwd,'labels');

classes = ["Sky" "Building" "Road" "Tree" "Car"];
labelIDs = 1:5;

imds = imageDatastore(imgDir);
pxds = pixelLabelDatastore(labelDir,classes,labelIDs);

imageSize = [256 320 3];
numClasses = numel(classes);

lgraph = segnetLayers(imageSize,numClasses,'vgg16');   % VGG-16 encoder

% median frequency balancing
classWeights = [0.3182 0.2082 0.0924 0.2711 2.1039];
pxLayer = pixelClassificationLayer('Name','labels','Classes',classes,'ClassWeights',classWeights);

lgraph = removeLayers(lgraph,'pixelLabels');
lgraph = addLayers(lgraph, pxLayer);
lgraph = connectLayers(lgraph,'softmax','labels');

opts = struct();
opts.lr = 1e-3; opts.epochs = 60; opts.batch = 4;

options = trainingOptions('sgdm', ...
    'Momentum',0.9, ...
    'InitialLearnRate',opts.lr, ...
    'L2Regularization',0.0005, ...
    'MaxEpochs',opts.epochs, ...
    'MiniBatchSize',opts.batch, ...
    'Shuffle','every-epoch', ...
    'CheckpointPath', tempdir, ...
    'VerboseFrequency',10);

augmenter = imageDataAugmenter('RandXReflection',true,...
    'RandXTranslation',[-10 10],'RandYTranslation',[-10 10]);
pximds = pixelLabelImageDatastore(imds,pxds,'DataAugmentation',augmenter);

doTraining = true;
if doTraining
    tic
    [net, info] = trainNetwork(pximds,lgraph,options);
    toc
else
    data = load('segnet_trained.mat');
    net = data.net;
end
