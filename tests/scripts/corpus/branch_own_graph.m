lgraph = layerGraph([imageInputLayer([32 32 3],'Name','in'); convolution2dLayer(3,8,'Padding','same','Name','a'); reluLayer('Name','ra'); additionLayer(2,'Name','add'); fullyConnectedLayer(2,'Name','f'); softmaxLayer('Name','s'); classificationLayer('Name','c')]);
skip = convolution2dLayer(1,8,'Name','skip','WeightLearnRateFactor',0,'BiasLearnRateFactor',0);
lgraph = addLayers(lgraph,skip);
lgraph = connectLayers(lgraph,'in','skip');
lgraph = connectLayers(lgraph,'skip','add/in2');
options = trainingOptions('sgdm');
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
