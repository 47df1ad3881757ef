net = squeezenet;
layers = net.Layers;
conns = net.Connections;
for i = 1:numel(layers)
    if isa(layers(i),'nnet.cnn.layer.Convolution2DLayer') && contains(layers(i).Name,'fire')
        layers(i).WeightLearnRateFactor = 0;
        layers(i).BiasLearnRateFactor = 0;
    end
end
layers(end-4) = convolution2dLayer(1,3,'Name','conv10','WeightLearnRateFactor',3,'BiasLearnRateFactor',3);
layers(end) = classificationLayer('Name','ClassificationLayer_predictions');
lgraph = createLgraphUsingConnections(layers,conns);
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
