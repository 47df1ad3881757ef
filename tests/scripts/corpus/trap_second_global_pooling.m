lgraph = layerGraph(resnet18);
lgraph = removeLayers(lgraph,{'fc1000','prob','ClassificationLayer_predictions'});
lgraph = addLayers(lgraph,[globalAveragePooling2dLayer('Name','gap2'); fullyConnectedLayer(3,'Name','fc3'); softmaxLayer('Name','s'); classificationLayer('Name','c')]);
lgraph = connectLayers(lgraph,'pool5','gap2');
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
options = trainingOptions('sgdm');
net = trainNetwork(imds,lgraph,options);
