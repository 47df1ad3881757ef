net = resnet18;
lgraph = layerGraph(net);
lgraph = replaceLayer(lgraph,'fc1000',fullyConnectedLayer(4,'Name','fc4'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','out'));
layers = lgraph.Layers;
connections = lgraph.Connections;
layers(1:20) = freezeWeights(layers(1:20));
lgraph = createLgraphUsingConnections(layers,connections);
opts = trainingOptions('adam','MaxEpochs',2);
imds = imageDatastore('imgs','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(augmentedImageDatastore([224 224],imds),lgraph,opts);

function layers = freezeWeights(layers)
for k = 1:numel(layers)
    if isprop(layers(k),'WeightLearnRateFactor')
        layers(k).WeightLearnRateFactor = 0;
    end
    if isprop(layers(k),'WeightL2Factor')
        layers(k).WeightL2Factor = 0;
    end
    if isprop(layers(k),'BiasLearnRateFactor')
        layers(k).BiasLearnRateFactor = 0;
    end
    if isprop(layers(k),'BiasL2Factor')
        layers(k).BiasL2Factor = 0;
    end
end
end

function lgraph = createLgraphUsingConnections(layers,connections)
lgraph = layerGraph();
for i = 1:numel(layers)
    lgraph = addLayers(lgraph,layers(i));
end
for c = 1:size(connections,1)
    lgraph = connectLayers(lgraph,connections.Source{c},connections.Destination{c});
end
end
