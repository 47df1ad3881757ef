net = squeezenet;
lgraph = layerGraph(net);
freezeNames = {'conv1','fire2-squeeze1x1','fire2-expand1x1','fire2-expand3x3'};
for k = 1:numel(freezeNames)
    idx = find(strcmp({lgraph.Layers.Name},freezeNames{k}));
    l = lgraph.Layers(idx);
    l.WeightLearnRateFactor = 0;
    l.BiasLearnRateFactor = 0;
    lgraph = replaceLayer(lgraph,freezeNames{k},l);
end
lgraph = replaceLayer(lgraph,'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
