net = googlenet;
if isa(net,'SeriesNetwork')
    lgraph = layerGraph(net.Layers);
else
    lgraph = layerGraph(net);
end
[learnableLayer,classLayer] = findLayersToReplace(lgraph);
lgraph = replaceLayer(lgraph,learnableLayer.Name,fullyConnectedLayer(3,'Name','n3'));
lgraph = replaceLayer(lgraph,classLayer.Name,classificationLayer('Name','nn'));
options = trainingOptions('sgdm','MaxEpochs',2,'LearnRateDropPeriod',3);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
