lgraph = layerGraph(squeezenet);
layers = lgraph.Layers;
for ii = 1:length(layers) - 5
    if isprop(layers(ii), 'WeightLearnRateFactor'), layers(ii).WeightLearnRateFactor = 0; end
    if isprop(layers(ii), 'BiasLearnRateFactor'), layers(ii).BiasLearnRateFactor = 0; end
end
% the frozen copies are never put back into lgraph
lgraph = replaceLayer(lgraph,'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
