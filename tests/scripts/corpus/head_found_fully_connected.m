net = resnet18;
lgraph = layerGraph(net);
[learnableLayer,~] = findLayersToReplace(lgraph);
if isa(learnableLayer,'nnet.cnn.layer.FullyConnectedLayer')
    newLearnableLayer = fullyConnectedLayer(2,'Name','new_fc','WeightLearnRateFactor',10,'BiasLearnRateFactor',10);
else
    newLearnableLayer = convolution2dLayer(1,2,'Name','new_conv','WeightLearnRateFactor',1,'BiasLearnRateFactor',1);
end
lgraph = replaceLayer(lgraph,learnableLayer.Name,newLearnableLayer);
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','c'));
options = trainingOptions('sgdm');
imds = imageDatastore('pets','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(augmentedImageDatastore([224 224],imds),lgraph,options);
