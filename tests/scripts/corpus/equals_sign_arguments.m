net = resnet18;
lg = layerGraph(net);
lg = replaceLayer(lg, "fc1000", fullyConnectedLayer(7, Name="fc7", WeightLearnRateFactor=5, BiasLearnRateFactor = 6));
lg = replaceLayer(lg, "ClassificationLayer_predictions", classificationLayer(Name="out"));
options = trainingOptions("adam", InitialLearnRate=5e-4, MaxEpochs = 12, MiniBatchSize=32, L2Regularization=1e-3, ...
    GradientDecayFactor=0.95, SquaredGradientDecayFactor=0.99, Epsilon=1e-7);
imds = imageDatastore("leafs", IncludeSubfolders=true, LabelSource="foldernames");
net2 = trainNetwork(augmentedImageDatastore([224 224], imds), lg, options);
