% Klassifikation von Blaettern
Netz = vgg16;
Schichten = Netz.Layers(1:end-3);
for i = 1:numel(Schichten)
    if isa(Schichten(i),'nnet.cnn.layer.Convolution2DLayer') || isa(Schichten(i),'nnet.cnn.layer.FullyConnectedLayer')
        Schichten(i).WeightLearnRateFactor = 0.1;
        Schichten(i).BiasLearnRateFactor = 0.2;
    end
end
Neu = [Schichten; fullyConnectedLayer(6,'Name','fcNeu','WeightLearnRateFactor',1,'BiasLearnRateFactor',2); softmaxLayer('Name','sm'); classificationLayer('Name','aus')];
Daten = imageDatastore('blaetter','IncludeSubfolders',true,'LabelSource','foldernames');
Daten = shuffle(Daten);
[Tr,Te] = splitEachLabel(Daten,0.9,'randomized');
AugTr = augmentedImageDatastore([224 224 3],Tr,'DataAugmentation',imageDataAugmenter('RandRotation',[-20,20],'RandYReflection',true,'RandXShear',[-5 5]));
Opt = trainingOptions('sgdm','InitialLearnRate',1e-4,'LearnRateSchedule','piecewise','LearnRateDropFactor',0.5,'LearnRateDropPeriod',5,'MaxEpochs',20,'MiniBatchSize',32,'L2Regularization',5e-4,'ValidationData',augmentedImageDatastore([224 224 3],Te),'ValidationPatience',Inf,'CheckpointPath',tempdir);
Netz = trainNetwork(AugTr,Neu,Opt);
