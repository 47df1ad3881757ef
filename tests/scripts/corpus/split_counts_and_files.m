imds = imageDatastore({'a','b','c'},'FileExtensions',{'.png','.jpg'},'IncludeSubfolders',true,'LabelSource','foldernames');
imds = shuffle(imds);
[imdsTrain,imdsTest] = splitEachLabel(imds,50);
net = squeezenet;
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
net = trainNetwork(augmentedImageDatastore([227 227],imdsTrain,'OutputSizeMode','centercrop'),lgraph,options);
