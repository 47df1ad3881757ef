net = googlenet('Weights','places365');
lgraph = layerGraph(net);
old = {'loss3-classifier','prob','output'};
new = {fullyConnectedLayer(3,'Name','a','BiasInitializer','ones'), softmaxLayer('Name','b'), classificationLayer('Name','c')};
for q = 1:3
    lgraph = replaceLayer(lgraph, old{q}, new{q});
end
ll = lgraph.Layers;
for q = numel(ll):-1:1
    switch class(ll(q))
        case {'nnet.cnn.layer.Convolution2DLayer'}
            if q < 60
                ll(q).WeightLearnRateFactor = 0; ll(q).BiasLearnRateFactor = 0;
            end
    end
end
lgraph = createLgraphUsingConnections(ll, lgraph.Connections);
X = imageDatastore(["a","b"],'LabelSource','foldernames');
t = trainNetwork(X, lgraph, trainingOptions('adam','MaxEpochs',3,'InitialLearnRate',1e-4,'Shuffle','never'));
