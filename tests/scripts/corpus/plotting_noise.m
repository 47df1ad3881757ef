clear all, close all, clc
tic
net = squeezenet;
analyzeNetwork(net)
figure('Name','layers'), plot(layerGraph(net)), title('graph'); ylim([0 10])
fprintf('%d layers\n', numel(net.Layers));
disp(net.Layers(1).InputSize)
imds = imageDatastore('t','IncludeSubfolders',true,'LabelSource','foldernames');
numTrainImages = numel(imds.Labels);
idx = randperm(numTrainImages,16);
for i = 1:16
    subplot(4,4,i)
    I = readimage(imds,idx(i));
    imshow(I)
end
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k'));
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2);
[net,info] = trainNetwork(imds,lgraph,options);
toc
[YPred,probs] = classify(net,imds);
accuracy = mean(YPred == imds.Labels)
confusionchart(imds.Labels,YPred);
save('result.mat','net','info')
exportONNXNetwork(net,'n.onnx');
