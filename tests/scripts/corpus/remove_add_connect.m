lgraph = layerGraph(resnet50('Weights','imagenet'));
lgraph = removeLayers(lgraph,{'fc1000','fc1000_softmax','ClassificationLayer_fc1000'});
newLayers = [
    fullyConnectedLayer(8,'Name','fc','WeightLearnRateFactor',10,'BiasLearnRateFactor',10)
    softmaxLayer('Name','softmax')
    classificationLayer('Name','classoutput')];
lgraph = addLayers(lgraph,newLayers);
lgraph = connectLayers(lgraph,'avg_pool','fc');
opts = trainingOptions('adam','InitialLearnRate',1e-4,'GradientThreshold',2,'GradientThresholdMethod','global-l2norm');
imds = imageDatastore('cells','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(augmentedImageDatastore([224 224],imds),lgraph,opts);
