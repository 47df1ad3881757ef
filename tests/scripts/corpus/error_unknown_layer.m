lgraph = layerGraph(resnet18);
lgraph = replaceLayer(lgraph,'fc100',fullyConnectedLayer(3,'Name','fc3'));
options = trainingOptions('sgdm');
imds = imageDatastore('t');
net = trainNetwork(imds,lgraph,options);
