dataDir = fullfile(pwd,'data');
imds = imageDatastore(dataDir,IncludeSubfolders=true,LabelSource="foldernames");
labelCount = countEachLabel(imds);
[imdsTrain,imdsVal] = splitEachLabel(imds,min(labelCount.Count)-10,'randomize');
numClasses = height(labelCount);
net = imagePretrainedNetwork("mobilenetv2",NumClasses=numClasses);
for p = ["Weights" "Bias"]
    net = setLearnRateFactor(net,"Logits",p,10);
end
opts = trainingOptions("rmsprop", ...
  MaxEpochs=6, InitialLearnRate=1e-3, ...
  ValidationData=imdsVal, ValidationFrequency=floor(numel(imdsTrain.Files)/32), ...
  MiniBatchSize=32, LearnRateSchedule="piecewise");
net = trainnet(augmentedImageDatastore([224 224],imdsTrain),net,"crossentropy",opts);
