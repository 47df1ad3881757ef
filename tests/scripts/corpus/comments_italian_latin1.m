% Perché la rete è così: città, però più lenta
net = squeezenet; % è la rete più piccola
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k')); % qualità
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('città','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
