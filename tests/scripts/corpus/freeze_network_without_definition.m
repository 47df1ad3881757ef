net = imagePretrainedNetwork("squeezenet",NumClasses=6);
net = freezeNetwork(net,LayerNamesToIgnore=networkHead(net));
options = trainingOptions("adam",MaxEpochs=20);
imds = imageDatastore("stones",IncludeSubfolders=true,LabelSource="foldernames");
net = trainnet(imds,net,"crossentropy",options);
