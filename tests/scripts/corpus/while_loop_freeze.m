net = vgg19;
layers = net.Layers(1:end-3);
i = 1;
while i <= 20
    if isprop(layers(i),'WeightLearnRateFactor')
        layers(i).WeightLearnRateFactor = 0; layers(i).BiasLearnRateFactor = 0;
    end
    i = i + 1;
end
layers = [layers; fullyConnectedLayer(2,'Name','two'); softmaxLayer; classificationLayer];
options = trainingOptions('adam','InitialLearnRate',1e-5,'MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,layers,options);
