% options as a cell, conditional pieces, own function for head
cfg.solver   = 'rmsprop';
cfg.lr       = 2e-4;
cfg.useAug   = true;
cfg.freeze   = 'all';      % 'none' | 'half' | 'all'
cfg.backbone = 'mobilenetv2';

imds = imageDatastore('data/train','IncludeSubfolders',true,'LabelSource','foldernames');
imdsV = imageDatastore('data/val','IncludeSubfolders',true,'LabelSource','foldernames');

net = mobilenetv2('Weights','imagenet');
lg = layerGraph(net);
lg = swapHead(lg, 12, 5);

switch lower(cfg.freeze)
    case 'all'
        last = numel(lg.Layers) - 3;
    case 'half'
        last = floor(numel(lg.Layers)/2);
    otherwise
        last = 0;
end

L = lg.Layers;  C = lg.Connections;
for i=1:last
    if isprop(L(i),'WeightLearnRateFactor'), L(i).WeightLearnRateFactor = 0; end
    if isprop(L(i),'BiasLearnRateFactor'),   L(i).BiasLearnRateFactor = 0;   end
    if isprop(L(i),'ScaleLearnRateFactor'),  L(i).ScaleLearnRateFactor = 0;  end
    if isprop(L(i),'OffsetLearnRateFactor'), L(i).OffsetLearnRateFactor = 0; end
end
lg = createLgraphUsingConnections(L,C);

if cfg.useAug
    aug = imageDataAugmenter('RandRotation',@() 30*rand-15,'RandYReflection',true);
    ds = augmentedImageDatastore([224 224 3],imds,'DataAugmentation',aug);
else
    ds = augmentedImageDatastore([224 224 3],imds);
end

args = {'MaxEpochs',20,'MiniBatchSize',24,'InitialLearnRate',cfg.lr};
if ~isempty(imdsV)
    args = [args,{'ValidationData',augmentedImageDatastore([224 224],imdsV)}];
end
args = [args {'SquaredGradientDecayFactor' 0.99}];
opts = trainingOptions(cfg.solver,args{:});
trained = trainNetwork(ds,lg,opts);

function lg = swapHead(lg,n,factor)
    names = {lg.Layers.Name};
    isFc = arrayfun(@(l) isa(l,'nnet.cnn.layer.FullyConnectedLayer'),lg.Layers);
    fcName = names{isFc};
    outName = names{end};
    lg = replaceLayer(lg,fcName,fullyConnectedLayer(n,'Name','fc', ...
        'WeightLearnRateFactor',factor,'BiasLearnRateFactor',2*factor));
    lg = replaceLayer(lg,outName,classificationLayer('Name','output'));
end
