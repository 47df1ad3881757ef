%% Merchandise classification, R2024a style
unzip("MerchData.zip")
imds = imageDatastore("MerchData",IncludeSubfolders=true,LabelSource="foldernames");
classNames = categories(imds.Labels);
numClasses = numel(classNames);
[imdsTrain,imdsValidation,imdsTest] = splitEachLabel(imds,0.7,0.15,"randomized");

net = imagePretrainedNetwork("googlenet",NumClasses=numClasses);
inputSize = net.Layers(1).InputSize;

% speed up learning in the new head
[layerName,learnableNames] = networkHead(net);
net = setLearnRateFactor(net,"loss3-classifier","Weights",20);
net = setLearnRateFactor(net,"loss3-classifier/Bias",20);

% freeze everything before inception 4
names = string({net.Layers.Name});
idx = find(startsWith(names,"inception_4a"),1);
for k = 1:idx-1
    layer = net.Layers(k);
    if isprop(layer,"WeightLearnRateFactor")
        layer.WeightLearnRateFactor = 0;
        layer.BiasLearnRateFactor = 0;
        net = replaceLayer(net,layer.Name,layer);
    end
end

augmenter = imageDataAugmenter(RandXReflection=true, ...
    RandScale=[0.8 1.2]);   % zoom
augimdsTrain = augmentedImageDatastore(inputSize(1:2),imdsTrain,DataAugmentation=augmenter);
augimdsValidation = augmentedImageDatastore(inputSize(1:2),imdsValidation);

options = trainingOptions("adam", ...
    InitialLearnRate=0.0001, ...
    MaxEpochs=15, ...
    MiniBatchSize=64, ...
    L2Regularization=5e-4, ...
    ValidationData=augimdsValidation, ...
    ValidationFrequency=5, ...
    ValidationPatience=6, ...
    OutputNetwork="best-validation", ...
    Metrics=["accuracy" "fscore"], ...
    ExecutionEnvironment="gpu", ...
    Plots="training-progress", ...
    Verbose=false);

net = trainnet(augimdsTrain,net,"crossentropy",options);
accuracy = testnet(net,augimdsTest,"accuracy")
