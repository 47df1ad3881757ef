net = imagePretrainedNetwork("resnet18",NumClasses=4);
learn = net.Learnables;
names = unique(learn.Layer);
toFreeze = learn.Layer(startsWith(learn.Layer,"res2"));
for i = 1:size(learn,1)
    if any(strcmp(learn.Layer(i),toFreeze))
        net = setLearnRateFactor(net, learn.Layer(i), learn.Parameter(i), 0);
    end
end
options = trainingOptions("sgdm");
imds = imageDatastore("t",IncludeSubfolders=true,LabelSource="foldernames");
net = trainnet(imds,net,"crossentropy",options);
