net = squeezenet;
layers = net.Layers;
connections = net.Connections;
for i = 1:30
    if isprop(layers(i),'WeightLearnRateFactor')
        layers(i).WeightLearnRateFactor = 0;
        layers(i).BiasLearnRateFactor = 0;
    end
end
lgraph = layerGraph();
for i = 1:numel(layers), lgraph = addLayers(lgraph,layers(i)); end
for i = 1:height(connections)
    lgraph = connectLayers(lgraph,connections.Source{i},connections.Destination{i});
end
lgraph = replaceLayer(lgraph,'conv10',convolution2dLayer(1,3,'Name','c3'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','o'));
options = trainingOptions('sgdm','MaxEpochs',5,'InitialLearnRate',1e-3);
imds = imageDatastore('w','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(augmentedImageDatastore([227 227],imds),lgraph,options);
