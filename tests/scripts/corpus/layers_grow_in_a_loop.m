inputSize = 1; hidden = [64 32];
layers = sequenceInputLayer(inputSize,Normalization="zscore");
for h = hidden
    layers = [layers; lstmLayer(h,OutputMode="sequence"); dropoutLayer(0.3)]; %#ok<AGROW>
end
layers(end+1) = fullyConnectedLayer(1);
layers(end+1) = regressionLayer;
options = trainingOptions("adam",MaxEpochs=60,MiniBatchSize=20,InitialLearnRate=0.01,GradientThreshold=1,Shuffle="never",SequencePaddingDirection="left");
load('turbofan.mat','XTrain','YTrain');
net = trainNetwork(XTrain,YTrain,layers,options);
