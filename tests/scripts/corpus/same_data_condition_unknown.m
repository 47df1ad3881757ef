net = squeezenet;
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
if gpuDeviceCount > 0
    env = 'gpu';
else
    env = 'cpu';
end
if exist('checkpoint.mat','file')
    epochs = 2;
else
    epochs = 5;
end
options = trainingOptions('sgdm','MaxEpochs',epochs,'ExecutionEnvironment',env);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
