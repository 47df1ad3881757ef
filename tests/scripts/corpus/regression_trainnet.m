layers = [featureInputLayer(5,Normalization="zscore",Name="in"), fullyConnectedLayer(16,Name="h"), reluLayer, fullyConnectedLayer(1,Name="y")];
net = dlnetwork(layers);
options = trainingOptions("adam",MaxEpochs=15,MiniBatchSize=20,Shuffle="every-epoch");
tbl = readtable("boston.csv");
net = trainnet(tbl,net,"mse",options);
