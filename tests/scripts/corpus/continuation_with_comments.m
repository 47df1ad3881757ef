net = squeezenet;   % little network
lgraph = layerGraph(net);
newConv = convolution2dLayer([1 1], 6, ...  six classes
    'Name', 'conv_six', ...   the name: it's ours, 'quoted' even
    ... 'WeightLearnRateFactor', 100,
    'WeightLearnRateFactor', 12, ...
    'BiasLearnRateFactor', 14);   % and that's it
lgraph = replaceLayer(lgraph, 'conv10', newConv);
lgraph = replaceLayer(lgraph, 'ClassificationLayer_predictions', classificationLayer);
%{
options = trainingOptions('adam','MaxEpochs',99);
%}
options = trainingOptions('sgdm', ...
    'MaxEpochs', 3, ... % 'MaxEpochs', 30, ...
    'Momentum', 0.85, ...
    'LearnRateSchedule', 'piecewise', ...
    'LearnRateDropFactor', 0.2, 'LearnRateDropPeriod', 2);
imds = imageDatastore('x','IncludeSubfolders',true,'LabelSource','foldernames');
trainNetwork(augmentedImageDatastore([227 227],imds), lgraph, options);
