net = imagePretrainedNetwork("googlenet",NumClasses=4);
[layerName,learnableNames] = networkHead(net);
net = freezeNetwork(net,LayersToIgnore=layerName);
options = trainingOptions("adam",ValidationFrequency=5,Metrics="accuracy",Plots="training-progress");
imds = imageDatastore("mushrooms",IncludeSubfolders=true,LabelSource="foldernames");
[tr,va,te] = splitEachLabel(imds,0.7,0.15,"randomized");
net = trainnet(augmentedImageDatastore([224 224 3],tr),net,"crossentropy",options);

function net = freezeNetwork(net,args)
arguments
    net dlnetwork
    args.LayersToIgnore string = string.empty
end
numLearnables = size(net.Learnables,1);
for i = 1:numLearnables
    layer = net.Learnables.Layer(i);
    parameter = net.Learnables.Parameter(i);
    if ~ismember(layer,args.LayersToIgnore)
        net = setLearnRateFactor(net,layer,parameter,0);
    end
end
end

function [layerName,learnableNames] = networkHead(net)
isLearnable = arrayfun(@(l) isa(l,"nnet.cnn.layer.FullyConnectedLayer") | isa(l,"nnet.cnn.layer.Convolution2DLayer"), net.Layers);
idx = find(isLearnable,1,"last");
layerName = net.Layers(idx).Name;
learnableNames = layerName + ["/Weights" "/Bias"];
end
