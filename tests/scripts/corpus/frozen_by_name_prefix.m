%{
   Fine tuning of VGG-16:
   conv1..conv3 frozen, conv4 small factor, fc new
%}
net = vgg16;
layersTransfer = net.Layers(1:end-3);
small = 0.1;

for k = 1 : length(layersTransfer)
    nm = layersTransfer(k).Name;
    if strncmp(nm,'conv1',5) || strncmp(nm,'conv2',5) || strncmp(nm,'conv3',5)
        layersTransfer(k).WeightLearnRateFactor = 0;
        layersTransfer(k).BiasLearnRateFactor   = 0;
        layersTransfer(k).WeightL2Factor        = 0;
    elseif strncmp(nm,'conv4',5)
        layersTransfer(k).WeightLearnRateFactor = small;
        layersTransfer(k).BiasLearnRateFactor   = 2*small;
    end
end

numClasses = 4;
layers = [layersTransfer;
          fullyConnectedLayer(numClasses,'WeightLearnRateFactor',20,'BiasLearnRateFactor',20, ...
              'WeightsInitializer','he');
          softmaxLayer;
          classificationLayer('Classes',{'a','b','c','d'})];

digitDatasetPath = fullfile('C:','data','scans');
imds = imageDatastore(digitDatasetPath,'FileExtensions',{'.png','.tif'},'LabelSource','foldernames','IncludeSubfolders',true);
imds.ReadFcn = @(x) imresize(repmat(imread(x),1,1,3),[224 224]);
[imdsTrain,imdsTest] = splitEachLabel(imds,50,'randomize');

options = trainingOptions('sgdm',...
    'MiniBatchSize',8,...
    'MaxEpochs',12,...
    'InitialLearnRate',1e-4,...
    'GradientThresholdMethod','global-l2norm', ...
    'GradientThreshold', 2, ...
    'OutputFcn',@(info)stopIfAccuracyNotImproving(info,3),...
    'ValidationData',imdsTest,...
    'ValidationFrequency',10);
netTransfer = trainNetwork(imdsTrain,layers,options);
