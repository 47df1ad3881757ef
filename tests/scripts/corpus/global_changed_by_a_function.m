net = alexnet;
layers = net.Layers;
layers(23) = fullyConnectedLayer(3,'Name','fc8b');
layers(25) = classificationLayer('Name','o');
layers(2:5) = freezeWeights(layers(2:5));
global LR
LR = 1e-3;
setRate();
options = trainingOptions('sgdm','InitialLearnRate',LR);
imds = imageDatastore('p','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(augmentedImageDatastore([227 227],imds),layers,options);
function setRate()
global LR
LR = 2e-3;
end
