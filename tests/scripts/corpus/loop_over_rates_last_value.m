rates = [1e-2 1e-3 1e-4];
imds = imageDatastore('sweep','IncludeSubfolders',true,'LabelSource','foldernames');
for i = 1:numel(rates)
    net = squeezenet;
    lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,4,'Name','k'));
    lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
    options = trainingOptions('sgdm','InitialLearnRate',rates(i),'MaxEpochs',3);
    nets{i} = trainNetwork(imds,lgraph,options);
end
