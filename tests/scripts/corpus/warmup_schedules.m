net = imagePretrainedNetwork("resnet18",NumClasses=4);
schedule = {warmupLearnRate(NumSteps=10), cosineLearnRate(Period=50)};
options = trainingOptions("adam",LearnRateSchedule=schedule,MaxEpochs=40);
imds = imageDatastore("t",IncludeSubfolders=true,LabelSource="foldernames");
net = trainnet(imds,net,"crossentropy",options);
