net = imagePretrainedNetwork("resnet18",NumClasses=2);
w = [0.3 0.7];
lossFcn = @(Y,T) crossentropy(Y,T,w,WeightsFormat="C",NormalizationFactor="all-elements")*2;
options = trainingOptions("adam",MaxEpochs=4);
imds = imageDatastore("t",IncludeSubfolders=true,LabelSource="foldernames");
net = trainnet(imds,net,lossFcn,options);
