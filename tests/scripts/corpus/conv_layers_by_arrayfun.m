net = squeezenet;
layers = net.Layers; C = net.Connections;
isConv = arrayfun(@(l) isa(l,'nnet.cnn.layer.Convolution2DLayer'), layers);
idx = find(isConv);
for k = idx(1:5)'
    layers(k).WeightLearnRateFactor = 0;
    layers(k).BiasLearnRateFactor = 0;
end
for k = 1:numel(layers)
    if k > 30, break; end
    if isConv(k)
        layers(k).BiasL2Factor = 1;
    end
end
lgraph = createLgraphUsingConnections(layers,C);
lgraph = replaceLayer(lgraph,'conv10',convolution2dLayer(1,4,'Name','conv10','Padding',0));
lgraph = replaceLayer(lgraph,lgraph.Layers(end).Name,classificationLayer('Name','cl'));
imds = imageDatastore('p','IncludeSubfolders',true,'LabelSource','foldernames');
[tr,va] = splitEachLabel(imds,.8);
fs = {@() 1e-3, @() 5};
o = trainingOptions('sgdm','InitialLearnRate',fs{1}(),'MaxEpochs',fs{2}(),'ValidationData',augmentedImageDatastore([227 227],va));
if true && ~false, o.Momentum = 0.7; end
net = trainNetwork(augmentedImageDatastore([227 227],tr),lgraph,o);
