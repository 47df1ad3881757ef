prefix = "block";
net = squeezenet;
lgraph = layerGraph(net);
lgraph = replaceLayer(lgraph,'conv10',convolution2dLayer(1,3,'Name',[char(prefix) '_' num2str(10)],'WeightLearnRateFactor',4));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name',strcat('out','_',"x")));
lgraph = setLayerFactor(lgraph, prefix + "_10");
options = trainingOptions('sgdm','MaxEpochs',2);
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
function lgraph = setLayerFactor(lgraph,name)
l = lgraph.Layers(strcmp({lgraph.Layers.Name},name));
l.BiasLearnRateFactor = 9;
lgraph = replaceLayer(lgraph,name,l);
end
