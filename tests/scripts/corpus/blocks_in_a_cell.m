%% Angles of rotated digits: regression on AlexNet features
[XTrain,~,YTrain] = digitTrain4DArrayData;
[XValidation,~,YValidation] = digitTest4DArrayData;

% small net
numFilters = 8;
blocks = {};
for b = 1:3
    blocks{end+1} = [
        convolution2dLayer(3,numFilters*2^(b-1),'Padding','same','Name',sprintf('conv_%d',b))
        batchNormalizationLayer('Name',sprintf('bn_%d',b))
        reluLayer('Name',sprintf('relu_%d',b))];
    if b < 3
        blocks{end} = [blocks{end}; averagePooling2dLayer(2,'Stride',2,'Name',['pool_' num2str(b)])];
    end
end

layers = [imageInputLayer([28 28 1],'Name','input')
          vertcat(blocks{:})
          dropoutLayer(0.2,'Name','drop')
          fullyConnectedLayer(1,'Name','angle')
          regressionLayer('Name','mse')];

miniBatchSize  = 128;
validationFrequency = floor(numel(YTrain)/miniBatchSize);
options = trainingOptions('sgdm', ...
    'MiniBatchSize',miniBatchSize, ...
    'MaxEpochs',30, ...
    'InitialLearnRate',1e-3, ...
    'LearnRateSchedule','piecewise', ...
    'LearnRateDropFactor',0.1, ...
    'LearnRateDropPeriod',20, ...
    'Shuffle','every-epoch', ...
    'ValidationData',{XValidation,YValidation}, ...
    'ValidationFrequency',validationFrequency, ...
    'Plots','training-progress', ...
    'Verbose',false);
net = trainNetwork(XTrain,YTrain,layers,options);

predicted = predict(net,XValidation);
err = YValidation - predicted;
rmse = sqrt(mean(err.^2))
