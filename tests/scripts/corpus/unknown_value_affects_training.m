net = squeezenet;
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
lr = input('learn rate? ');
options = trainingOptions('sgdm','InitialLearnRate',lr,'MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
