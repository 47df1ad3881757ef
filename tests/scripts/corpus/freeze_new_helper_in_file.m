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
for ii = 1:size(layers,1)
    props = properties(layers(ii));
    for p = 1:numel(props)
        propName = props{p};
        if ~isempty(regexp(propName, 'LearnRateFactor$', 'once'))
            layers(ii).(propName) = 0;
        end
    end
end
end
