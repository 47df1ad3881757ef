%% small residual network with dlnetwork and trainnet
numClasses = 10;
net = dlnetwork;

tempNet = [
    imageInputLayer([32 32 3],"Name","input","Normalization","zscore")
    convolution2dLayer(3,16,"Padding","same","Name","convInp")
    batchNormalizationLayer("Name","BNInp")
    reluLayer("Name","reluInp")];
net = addLayers(net,tempNet);

tempNet = [
    convolution2dLayer(3,16,"Padding","same","Stride",1,"Name","S1U1_conv1")
    batchNormalizationLayer("Name","S1U1_BN1")
    reluLayer("Name","S1U1_relu1")
    convolution2dLayer(3,16,"Padding","same","Name","S1U1_conv2","BiasLearnRateFactor",0)
    batchNormalizationLayer("Name","S1U1_BN2")];
net = addLayers(net,tempNet);

tempNet = [
    additionLayer(2,"Name","add11")
    reluLayer("Name","relu11")
    globalAveragePooling2dLayer("Name","globalPool")
    fullyConnectedLayer(numClasses,"Name","fcFinal")
    softmaxLayer("Name","softmax")];
net = addLayers(net,tempNet);
clear tempNet;

net = connectLayers(net,"reluInp","S1U1_conv1");
net = connectLayers(net,"reluInp","add11/in2");
net = connectLayers(net,"S1U1_BN2","add11/in1");
net = initialize(net);
plot(net)

[XTrain,TTrain,XVal,TVal] = loadCIFARData(pwd);

augmenter = imageDataAugmenter(RandXReflection=true,RandXTranslation=[-4 4],RandYTranslation=[-4 4]);
ds = augmentedImageDatastore([32 32 3],XTrain,TTrain,DataAugmentation=augmenter,OutputSizeMode="randcrop");

learnRate = 0.1*128/128;
options = trainingOptions("sgdm",InitialLearnRate=learnRate,MaxEpochs=80,MiniBatchSize=128, ...
    Shuffle="every-epoch",LearnRateSchedule=piecewiseLearnRate(DropFactor=0.1,Period=60), ...
    ValidationData={XVal,TVal},ValidationFrequency=floor(size(XTrain,4)/128),Metrics="accuracy",Verbose=false);

lossFcn = @(Y,T) crossentropy(Y,T);
net = trainnet(ds,net,lossFcn,options);
