lgraph = layerGraph(resnet50('Weights','none'));
lgraph = replaceLayer(lgraph,'fc1000',fullyConnectedLayer(3,'Name','f3'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_fc1000',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
