net = googlenet;
lgraph = layerGraph(net);
lgraph = replaceLayer(lgraph,'loss3-classifier',fullyConnectedLayer(5,'Name','fc5'));
lgraph = replaceLayer(lgraph,'output',classificationLayer('Name','o5'));
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
ds = augmentedImageDatastore([224 224 1],imds);
options = trainingOptions('sgdm');
net = trainNetwork(ds,lgraph,options);
