classNames = ["cat" "dog" "owl"];
net = imagePretrainedNetwork("resnet18",NumClasses=numel(classNames));
keep = "fc1000";
for i = 1:height(net.Learnables)
    layerName = net.Learnables.Layer(i);
    if ~ismember(layerName,keep)
        net = setLearnRateFactor(net,layerName,net.Learnables.Parameter(i),0);
    end
end
imds = imageDatastore("animals",IncludeSubfolders=true,LabelSource="foldernames");
options = trainingOptions("adam");
net = trainnet(imds,net,"crossentropy",options);
