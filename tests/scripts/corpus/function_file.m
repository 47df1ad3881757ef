function net = trainLeaves(folder)
% trainLeaves(folder) trains on a folder of leaves
if nargin < 1
    folder = 'leaves';
end
imds = imageDatastore(folder,'IncludeSubfolders',true,'LabelSource','foldernames');
[a,b] = splitEachLabel(imds,0.8,'randomized');
lgraph = makeGraph(numel(unique(a.Labels)));
opts = makeOptions(b);
net = trainNetwork(a,lgraph,opts);
end

function lgraph = makeGraph(n)
lgraph = layerGraph(resnet18);
lgraph = replaceLayer(lgraph,'fc1000',fullyConnectedLayer(n,'Name','fc_n','WeightLearnRateFactor',8,'BiasLearnRateFactor',8));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','out_n'));
end

function o = makeOptions(val)
o = trainingOptions('sgdm','InitialLearnRate',1e-3,'ValidationData',val,'MaxEpochs',11);
end
