%% Load
net = squeezenet;
%% Prepare
lgraph = layerGraph(net)
%%
lgraph = replaceLayer(lgraph,'conv10',convolution2dLayer(1,3,'Name','k'))
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'))
%% Train
options = trainingOptions('sgdm','MaxEpochs',2)
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames')
net = trainNetwork(imds,lgraph,options)
