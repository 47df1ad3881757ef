clc; clear;
allImages = imageDatastore('TrainingData', 'IncludeSubfolders', true,'LabelSource', 'foldernames');
[trainingImages, testImages] = splitEachLabel(allImages, 0.8, 'randomize');
alex = alexnet;
layers = alex.Layers
layers(23) = fullyConnectedLayer(2); 
layers(25) = classificationLayer
opts = trainingOptions('sgdm', 'InitialLearnRate', 0.001,'MaxEpochs', 20, 'MiniBatchSize', 64);
trainingImages.ReadFcn = @readFunctionTrain;
myNet = trainNetwork(trainingImages, layers, opts);
testImages.ReadFcn = @readFunctionTrain;
predictedLabels = classify(myNet, testImages); 
accuracy = mean(predictedLabels == testImages.Labels)
