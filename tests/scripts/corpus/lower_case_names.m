net=resnet18();
lgraph=layerGraph(net);
lgraph=replaceLayer(lgraph,'fc1000',fullyConnectedLayer(3,'name','fc','weightlearnratefactor',10,'biaslearnratefactor',10));
lgraph=replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('name','co'));
options=trainingOptions('rmsprop','initiallearnrate',0.001,'maxepochs',4,'minibatchsize',16,'squaredgradientdecayfactor',0.95);
imds=imageDatastore('d','includesubfolders',true,'labelsource','foldernames');
net=trainNetwork(augmentedImageDatastore([224 224 3],imds),lgraph,options);
