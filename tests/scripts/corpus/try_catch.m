net = squeezenet;
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
try
    net = trainNetwork(imds,lgraph,options);
catch ME
    disp(ME.message)
end
