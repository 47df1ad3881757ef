% Обучение сети на своих изображениях
net = squeezenet; % исходная сеть
lgraph = replaceLayer(layerGraph(net),'conv10',convolution2dLayer(1,3,'Name','k')); % новая свёртка
lgraph = replaceLayer(lgraph,'ClassificationLayer_predictions',classificationLayer('Name','kk'));
options = trainingOptions('sgdm','MaxEpochs',2); % параметры
imds = imageDatastore('картинки','IncludeSubfolders',true,'LabelSource','foldernames');
net = trainNetwork(imds,lgraph,options);
