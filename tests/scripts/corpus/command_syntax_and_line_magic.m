clc
close all
format long
warning off
rng('default'); rng(1);
addpath helpers
net = squeezenet;
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
save net
