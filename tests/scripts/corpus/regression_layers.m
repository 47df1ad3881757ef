layers = [
    imageInputLayer([28 28 1])
    convolution2dLayer(3,8,'Padding','same')
    batchNormalizationLayer
    reluLayer
    averagePooling2dLayer(2,'Stride',2)
    dropoutLayer(0.2)
    fullyConnectedLayer(1)
    regressionLayer];
miniBatchSize = 128;
validationFrequency = 30;
options = trainingOptions('sgdm','MiniBatchSize',miniBatchSize,'MaxEpochs',30,'InitialLearnRate',1e-3,'LearnRateSchedule','piecewise','LearnRateDropFactor',0.1,'LearnRateDropPeriod',20,'Shuffle','every-epoch','ValidationFrequency',validationFrequency);
[XTrain,~,YTrain] = digitTrain4DArrayData;
net = trainNetwork(XTrain,YTrain,layers,options);
