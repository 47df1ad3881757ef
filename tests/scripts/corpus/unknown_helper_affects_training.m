net = squeezenet;
lgraph = layerGraph(net);
lgraph = ourSpecialSurgery(lgraph, 17);
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
