net = resnet18; lgraph = layerGraph(net);
lgraph = replaceLayer(lgraph,'fc1000',fullyConnectedLayer(5,'Name','f'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','o'));
clear lgraph2
n = 0;
while true
    n = n + 1;
    if n == 25, break, end
    l = lgraph.Layers(n);
    try
        l.WeightLearnRateFactor = 0; l.BiasLearnRateFactor = 0;
    catch
        continue
    end
    lgraph = replaceLayer(lgraph,l.Name,l);
end
imds = imageDatastore('p','IncludeSubfolders',true,'LabelSource','foldernames');
imdsAug = augmentedImageDatastore([224 224],imds,'ColorPreprocessing','gray2rgb','DataAugmentation',imageDataAugmenter('RandRotation',[-10 10],'FillValue',128));
options = trainingOptions('sgdm','LearnRateSchedule','piecewise','MiniBatchSize',8*4,"Verbose",1>0);
net = trainNetwork(imdsAug,lgraph,options);
