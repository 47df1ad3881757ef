lgraph = layerGraph(googlenet);
head = [dropoutLayer(0.6,'Name','newDropout')
        fullyConnectedLayer(12,'Name','fc','WeightLearnRateFactor',5,'BiasLearnRateFactor',5)];
lgraph = replaceLayer(lgraph,'loss3-classifier',head);
lgraph = replaceLayer(lgraph,'output',classificationLayer('Name','output'));
options = trainingOptions('sgdm','InitialLearnRate',1e-4,'MaxEpochs',20,'MiniBatchSize',15,'ExecutionEnvironment','cpu');
imds = imageDatastore('signals','IncludeSubfolders',true,'LabelSource','foldernames');
trained = trainNetwork(imds,lgraph,options);
