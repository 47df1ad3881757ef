layers = [imageInputLayer([28 28 1],'Name','in'), convolution2dLayer(3,8,'Padding','same','Name','c1','WeightL2Factor',2), batchNormalizationLayer('Name','bn'), reluLayer('Name','r'), ...
 maxPooling2dLayer(2,'Stride',2,'Name','mp'), fullyConnectedLayer(10,'Name','fc','BiasLearnRateFactor',2), softmaxLayer('Name','sm'), classificationLayer('Name','cl')];
opts = trainingOptions("sgdm",'InitialLearnRate',0.01,"MaxEpochs",4,'Shuffle','every-epoch');
imds = imageDatastore('DigitDataset','IncludeSubfolders',1,'LabelSource','foldernames');
[imdsTrain,imdsVal] = splitEachLabel(imds,750,'randomize');
convnet = trainNetwork(imdsTrain,layers,opts);
