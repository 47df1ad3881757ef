net = squeezenet;
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
first = trainingOptions('sgdm','MaxEpochs',2,'InitialLearnRate',0.01);
second = trainingOptions('sgdm','MaxEpochs',5,'InitialLearnRate',0.0001);
net1 = trainNetwork(imds,lgraph,first);
net2 = trainNetwork(imds,layerGraph(net1),second);
