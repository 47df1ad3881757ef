modelName = 'squeezenet';
numClasses = 3;
switch lower(modelName)
    case 'alexnet'
        net = alexnet; size = [227 227]; last = 'fc8';
    case {'squeezenet','squeeze'}
        net = squeezenet; size = [227 227]; last = 'conv10';
    otherwise
        error('unknown network %s', modelName);
end
lgraph = layerGraph(net);
if strcmp(modelName,'squeezenet')
    newLayer = convolution2dLayer([1 1],numClasses,'Name','headconv','WeightLearnRateFactor',10,'BiasLearnRateFactor',10);
else
    newLayer = fullyConnectedLayer(numClasses,'Name','headfc');
end
lgraph = replaceLayer(lgraph,last,newLayer);
lgraph = replaceLayer(lgraph,lgraph.Layers(end).Name,classificationLayer('Name','final'));
imds = imageDatastore('z','IncludeSubfolders',true,'LabelSource','foldernames');
options = trainingOptions('adam','MiniBatchSize',2^5,'InitialLearnRate',10^-3/2,'MaxEpochs',3*4);
net = trainNetwork(augmentedImageDatastore(size,imds),lgraph,options);
