net = alexnet;
layers = net.Layers;
layers(1:26) = freezeWeights(layers(1:26));
options = trainingOptions('sgdm');
imds = imageDatastore('t');
net = trainNetwork(imds,layers,options);
