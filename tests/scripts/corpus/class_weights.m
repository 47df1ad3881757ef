net = squeezenet;
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk','Classes',["a" "b" "c"],'ClassWeights',[1 2 5]));
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('u','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
