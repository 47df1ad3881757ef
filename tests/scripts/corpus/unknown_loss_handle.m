net = imagePretrainedNetwork("resnet18",NumClasses=2);
options = trainingOptions("adam",MaxEpochs=4);
imds = imageDatastore("t",IncludeSubfolders=true,LabelSource="foldernames");
net = trainnet(imds,net,@(Y,T) myLoss(Y,T,3),options);
