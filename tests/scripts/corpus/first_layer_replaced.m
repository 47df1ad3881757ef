net = resnet18;
lgraph = layerGraph(net);
lgraph = replaceLayer(lgraph,'data',imageInputLayer([224 224 3],'Name','data','Normalization','zerocenter'));
lgraph = replaceLayer(lgraph,'fc1000',fullyConnectedLayer(3,'Name','f3'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2,'ResetInputNormalization',false);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
