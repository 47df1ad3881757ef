function lgraph = main()
net = resnet50();
lgraph = layerGraph(net);
lgraph = rebuild(lgraph, struct('n',4,'f',[1 10]));
o = defaults('lr',5e-4);
ds = imageDatastore('scans','IncludeSubfolders',true,'LabelSource','foldernames');
[a,b,c] = splitEachLabel(ds,0.6,0.2,0.2);
[tn,info] = trainNetwork(transformIt(a),lgraph,o);
end
function g = rebuild(g,s)
g = removeLayers(g,{'fc1000','fc1000_softmax','ClassificationLayer_fc1000'});
g = addLayers(g,[fullyConnectedLayer(s.n,'Name','fc','WeightLearnRateFactor',s.f(end),'BiasLearnRateFactor',s.f(1)),softmaxLayer('Name','s'),classificationLayer('Name','k')]);
g = connectLayers(g,'avg_pool','fc');
end
function o = defaults(varargin)
s = struct(varargin{:});
o = trainingOptions('sgdm','InitialLearnRate',s.lr,'MaxEpochs',8);
end
function d = transformIt(d)
d = augmentedImageDatastore([224 224],d,'ColorPreprocessing','gray2rgb');
end
