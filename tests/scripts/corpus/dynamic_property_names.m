net = vgg16;
layers = net.Layers;
factors = {'WeightLearnRateFactor','BiasLearnRateFactor'};
for i = [2 4]
    for j = 1:numel(factors)
        prop = factors{j};
        layers(i).(prop) = 0;
    end
end
layers = [layers(1:38); fullyConnectedLayer(10,'Name','fc_out'); softmaxLayer('Name','sm'); classificationLayer('Name','cl')];
options = trainingOptions('sgdm','InitialLearnRate',1e-4);
imds = imageDatastore('digits','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(augmentedImageDatastore([224 224],imds,'ColorPreprocessing','gray2rgb'),layers,options);
