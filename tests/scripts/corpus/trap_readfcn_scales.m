net = resnet50;
lgraph = layerGraph(net);
lgraph = replaceLayer(lgraph,'fc1000',fullyConnectedLayer(2,'Name','fc2'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_fc1000',classificationLayer('Name','o'));
imds = imageDatastore('xray','IncludeSubfolders',true,'LabelSource','foldernames');
imds.ReadFcn = @(f) im2double(imresize(imread(f),[224 224]));
options = trainingOptions('adam','MaxEpochs',2);
net = trainNetwork(imds,lgraph,options);
