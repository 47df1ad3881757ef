lgraph = layerGraph(resnet50);
layers = lgraph.Layers;
name = lgraph.Layers(175).Name;
lgraph = replaceLayer(lgraph,name,fullyConnectedLayer(6,'Name','fc6cls','WeightLearnRateFactor',10,'BiasLearnRateFactor',10));
lgraph = replaceLayer(lgraph,lgraph.Layers(end).Name,classificationLayer('Name','klassen'));
options = trainingOptions('sgdm','MaxEpochs',10,'MiniBatchSize',20,'InitialLearnRate',0.001);
imds = imageDatastore('bilder','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(augmentedImageDatastore([224 224 3],imds),lgraph,options);
