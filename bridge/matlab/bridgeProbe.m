function probe = bridgeProbe(file)
    % BRIDGEPROBE Ask this release of MATLAB how it trains, in about a minute.
    %
    %   BRIDGEPROBE(FILE) runs small experiments whose answers the documentation
    %   leaves open, and saves their numbers as the variable probe in FILE. They
    %   are grouped in ten questions: 1 solver updates, 2 factors of a new head,
    %   3 clipping and decay, 4 losses, 5 batch normalization statistics,
    %   6 learn-rate schedules, 7 image resizing and augmentation, 8 layers and
    %   their defaults, 9 partial validation batches, 10 random numbers. An
    %   experiment that this release cannot run is recorded with its error
    %   message. The layout is in docs/mat-structs.md. The default random stream
    %   is left as it was.
    %
    %   PROBE = BRIDGEPROBE(FILE) also returns the variable saved.
    %
    %   Example:
    %       bridgeProbe('probe.mat')
    %
    %   See also BRIDGEREFERENCE, BRIDGEEXPORT.

    probe = environment('bridge.probe/1');
    probe.Hardware = hardware('cpu');
    probe.Answers = struct();
    experiments = [updateExperiments(); headExperiments(); clippingExperiments(); lossExperiments(); ...
                   statisticsExperiments(); scheduleExperiments(); imageExperiments(); layerExperiments(); ...
                   validationExperiments(); randomExperiments()];
    state = rng();
    for k = 1:size(experiments, 1)
        [question, name, run] = experiments{k, :};
        probe.Answers.(name) = answerOf(question, run);
    end
    rng(state);
    writeMat(char(file), 'probe', probe);
end

function answer = answerOf(question, run)
    answer.Question = question;
    answer.Values = struct();
    answer.Error = '';
    try
        [values, isPlain] = plainValue(run());
        if ~isPlain
            error('bridge:object', 'the answer holds an object');
        end
        answer.Values = values;
    catch reason
        answer.Error = reason.message;
    end
end

% 1: solver updates, two steps each -----------------------------------------

function experiments = updateExperiments()
    experiments = {1, 'AdamUpdate', @adamUpdate
                   1, 'RMSPropUpdate', @rmspropUpdate
                   1, 'SGDMUpdate', @sgdmUpdate};
end

function values = adamUpdate()
    values = struct('Parameter', 1, 'Gradients', [1e-6, 1e-3], 'Updated', zeros(1, 2));
    [parameter, average, squared] = adamupdate(1, values.Gradients(1), [], [], 1);
    values.Updated(1) = parameter;
    values.Updated(2) = adamupdate(parameter, values.Gradients(2), average, squared, 2);
end

function values = rmspropUpdate()
    values = struct('Parameter', 1, 'Gradients', [1e-6, 1e-3], 'Updated', zeros(1, 2));
    [parameter, squared] = rmspropupdate(1, values.Gradients(1), []);
    values.Updated(1) = parameter;
    values.Updated(2) = rmspropupdate(parameter, values.Gradients(2), squared);
end

function values = sgdmUpdate()
    values = struct('Parameter', 1, 'Gradients', [1, 1], 'LearnRates', [0.1, 0.01], ...
                    'Momentum', 0.9, 'Updated', zeros(1, 2));
    [parameter, velocity] = sgdmupdate(1, values.Gradients(1), [], values.LearnRates(1), values.Momentum);
    values.Updated(1) = parameter;
    values.Updated(2) = sgdmupdate(parameter, values.Gradients(2), velocity, values.LearnRates(2), values.Momentum);
end

% 2: the head that imagePretrainedNetwork makes -----------------------------

function experiments = headExperiments()
    experiments = {2, 'PretrainedHead', @pretrainedHead};
end

function values = pretrainedHead()
    net = imagePretrainedNetwork('squeezenet', 'NumClasses', 5);
    layers = cellstr(net.Learnables.Layer);
    parameters = cellstr(net.Learnables.Parameter);
    rows = find(strcmp(layers, layers{end}));
    values.Layer = layers{end};
    values.Parameters = parameters(rows)';
    values.LearnRateFactors = zeros(1, numel(rows));
    values.L2Factors = zeros(1, numel(rows));
    for k = 1:numel(rows)
        values.LearnRateFactors(k) = getLearnRateFactor(net, values.Layer, values.Parameters{k});
        values.L2Factors(k) = getL2Factor(net, values.Layer, values.Parameters{k});
    end
end

% 3: order of decay and clipping, frozen gradients in the global norm -------

function experiments = clippingExperiments()
    experiments = {3, 'DecayAndClipping', @decayAndClipping
                   3, 'FrozenInGlobalNorm', @frozenInGlobalNorm};
end

function values = decayAndClipping()
    % w = 2, x = 1, target 0: the loss gives the gradient 2, the decay 1.
    values = struct('Weight', 2, 'LossGradient', 2, 'L2Regularization', 0.5, 'GradientThreshold', 1, ...
                    'InitialLearnRate', 0.1);
    values.Methods = {'l2norm', 'global-l2norm', 'absolute-value'};
    values.Updated = zeros(1, 3);
    for k = 1:3
        layers = linearLayers(values.Weight, 0, [1, 0]);
        trained = trainOnce(layers, 1, 0, 'L2Regularization', values.L2Regularization, ...
                            'GradientThreshold', values.GradientThreshold, ...
                            'GradientThresholdMethod', values.Methods{k});
        values.Updated(k) = trained.Layers(2).Weights;
    end
end

function values = frozenInGlobalNorm()
    % w = 0 frozen, b = 0, x = 3, target -1: gradients 3 and 1 against 1.
    values = struct('FrozenGradient', 3, 'Gradient', 1, 'GradientThreshold', 1, 'InitialLearnRate', 0.1);
    trained = trainOnce(linearLayers(0, 0, [0, 1]), 3, -1, 'L2Regularization', 0, 'GradientThreshold', 1, ...
                        'GradientThresholdMethod', 'global-l2norm');
    values.Weight = trained.Layers(2).Weights;
    values.Bias = trained.Layers(2).Bias;
end

function trained = trainOnce(layers, x, t, varargin)
    % One plain gradient step of learn rate 0.1 on two equal observations.
    options = quietOptions('InitialLearnRate', 0.1, 'Momentum', 0, 'MaxEpochs', 1, 'MiniBatchSize', 2, varargin{:});
    trained = trainNetwork(x * ones(1, 1, 1, 2), [t; t], layers, options);
end

function options = quietOptions(varargin)
    options = trainingOptions('sgdm', 'Shuffle', 'never', 'Verbose', false, 'Plots', 'none', ...
                              'ExecutionEnvironment', 'cpu', varargin{:});
end

function layers = linearLayers(weight, bias, factors)
    layers = [imageInputLayer([1, 1, 1], 'Normalization', 'none', 'Name', 'input')
              fullyConnectedLayer(1, 'Weights', weight, 'Bias', bias, 'WeightLearnRateFactor', factors(1), ...
                                  'BiasLearnRateFactor', factors(2), 'Name', 'linear')
              regressionLayer('Name', 'output')];
end

% 4: losses, of two channels, three observations and two time steps ---------

function experiments = lossExperiments()
    experiments = {4, 'TrainnetMse', @() vectorLoss('mse')
                   4, 'TrainnetCrossentropy', @() vectorLoss('crossentropy')
                   4, 'TrainnetSequenceMse', @() sequenceLoss('mse')
                   4, 'TrainnetSequenceCrossentropy', @() sequenceLoss('crossentropy')
                   4, 'ClassWeights', @classWeights};
end

function values = vectorLoss(name)
    values = lossValues(name);
    layers = [featureInputLayer(2, 'Normalization', 'none', 'Name', 'input'); identityLayer('linear')];
    values.TrainingHistory = lossHistory(layers, values.Inputs(:, :, 1)', values.Targets(:, :, 1)', name);
end

function values = sequenceLoss(name)
    % Cells of time x channels, as trainnet takes them.
    values = lossValues(name);
    layers = [sequenceInputLayer(2, 'Name', 'input'); identityLayer('linear')];
    values.TrainingHistory = lossHistory(layers, sequencesOf(values.Inputs), sequencesOf(values.Targets), name);
end

function values = lossValues(name)
    % channels x observations x time steps; the network is the identity.
    inputs = reshape([0.9, 0.1, 0.6, 0.4, 0.3, 0.7, 0.8, 0.2, 0.5, 0.5, 0.25, 0.75], 2, 3, 2);
    targets = reshape([1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0], 2, 3, 2);
    values = struct('Loss', name, 'Inputs', inputs, 'Targets', targets);
end

function cells = sequencesOf(array)
    cells = cell(size(array, 2), 1);
    for k = 1:numel(cells)
        cells{k} = reshape(array(:, k, :), size(array, 1), [])';
    end
end

function layer = identityLayer(name)
    layer = fullyConnectedLayer(2, 'Weights', eye(2), 'Bias', [0; 0], 'Name', name);
end

function history = lossHistory(layers, X, T, name)
    pairs = {'MaxEpochs', 1, 'MiniBatchSize', 3, 'InitialLearnRate', 1e-6};
    if strcmp(name, 'mse')
        pairs = [pairs, {'Metrics', 'rmse'}];
    end
    [~, info] = trainnet(X, T, dlnetwork(layers), name, quietOptions(pairs{:}));
    history = info.TrainingHistory;
end

function values = classWeights()
    % Three observations; scores of the softmax are those of the inputs' log.
    values = struct('Scores', [0.9, 0.1; 0.6, 0.4; 0.3, 0.7], 'ClassWeights', [1, 3]);
    values.Labels = {'a'; 'b'; 'b'};
    layers = [imageInputLayer([1, 1, 2], 'Normalization', 'none', 'Name', 'input')
              identityLayer('linear')
              softmaxLayer('Name', 'softmax')
              classificationLayer('Classes', {'a', 'b'}, 'ClassWeights', values.ClassWeights, 'Name', 'output')];
    X = reshape(log(values.Scores)', 1, 1, 2, 3);
    options = quietOptions('MaxEpochs', 1, 'MiniBatchSize', 3, 'InitialLearnRate', 1e-6);
    [~, info] = trainNetwork(X, categorical(values.Labels), layers, options);
    values.TrainingLoss = info.TrainingLoss;
end

% 5: batch normalization statistics after one iteration on four elements ----

function experiments = statisticsExperiments()
    experiments = {5, 'MovingFresh', @() statistics('trainNetwork', [], 1, {'moving'})
                   5, 'MovingStored', @() statistics('trainNetwork', [10, 4], 1, {'moving'})
                   5, 'PopulationStored', @() statistics('trainNetwork', [10, 4], 1, {'population'})
                   5, 'DefaultStored', @() statistics('trainNetwork', [10, 4], 1, {})
                   5, 'FrozenStored', @() statistics('trainNetwork', [10, 4], 0, {})
                   5, 'TrainnetMovingFresh', @() statistics('trainnet', [], 1, {'moving'})
                   5, 'TrainnetMovingStored', @() statistics('trainnet', [10, 4], 1, {'moving'})
                   5, 'TrainnetDefaultStored', @() statistics('trainnet', [10, 4], 1, {})
                   5, 'TrainnetFrozenStored', @() statistics('trainnet', [10, 4], 0, {})};
end

function values = statistics(trainer, stored, factor, setting)
    values = struct('Trainer', trainer, 'Elements', [1, 2, 3, 6], 'Stored', stored, 'LearnRateFactor', factor);
    pairs = {'MaxEpochs', 1, 'MiniBatchSize', 2, 'InitialLearnRate', 1e-6};
    if ~isempty(setting)
        pairs = [pairs, {'BatchNormalizationStatistics', setting{1}}];
    end
    options = quietOptions(pairs{:});
    values.BatchNormalizationStatistics = options.BatchNormalizationStatistics;
    layers = statisticsLayers(stored, factor);
    X = reshape(values.Elements, 2, 1, 1, 2);
    if strcmp(trainer, 'trainnet')
        trained = trainnet(X, [0; 0], dlnetwork(layers), 'mse', options);
    else
        trained = trainNetwork(X, [0; 0], [layers; regressionLayer('Name', 'output')], options);
    end
    values.TrainedMean = trained.Layers(2).TrainedMean;
    values.TrainedVariance = trained.Layers(2).TrainedVariance;
end

function layers = statisticsLayers(stored, factor)
    pairs = {'ScaleLearnRateFactor', factor, 'OffsetLearnRateFactor', factor, 'Name', 'batchnorm'};
    if ~isempty(stored)
        pairs = [pairs, {'TrainedMean', stored(1), 'TrainedVariance', stored(2)}];
    end
    layers = [imageInputLayer([2, 1, 1], 'Normalization', 'none', 'Name', 'input')
              batchNormalizationLayer(pairs{:})
              fullyConnectedLayer(1, 'Weights', [1, 1], 'Bias', 0, 'Name', 'linear')];
end

% 6: learn rates of twelve epochs of one iteration --------------------------

function experiments = scheduleExperiments()
    experiments = {6, 'PiecewiseTrainNetwork', @piecewiseTrainNetwork
                   6, 'PiecewiseTrainnet', @() rates(piecewiseLearnRate('DropFactor', 0.5, 'Period', 5))
                   6, 'Piecewise', @() rates(piecewiseLearnRate)
                   6, 'Exponential', @() rates(exponentialLearnRate)
                   6, 'Polynomial', @() rates(polynomialLearnRate)
                   6, 'Cosine', @() rates(cosineLearnRate)
                   6, 'Cyclical', @() rates(cyclicalLearnRate)
                   6, 'Warmup', @() rates(warmupLearnRate)
                   6, 'WarmupThenPiecewise', @() rates({warmupLearnRate, piecewiseLearnRate('Period', 3)})
                   6, 'NamedPolynomial', @() rates('polynomial')
                   6, 'NamedCosine', @() rates('cosine')};
end

function values = piecewiseTrainNetwork()
    values = struct('InitialLearnRate', 1, 'LearnRateDropFactor', 0.5, 'LearnRateDropPeriod', 5);
    options = quietOptions('MaxEpochs', 12, 'MiniBatchSize', 2, 'InitialLearnRate', 1, ...
                           'LearnRateSchedule', 'piecewise', 'LearnRateDropFactor', 0.5, 'LearnRateDropPeriod', 5);
    [~, info] = trainNetwork(zeros(1, 1, 1, 2), [0; 0], linearLayers(1, 0, [1, 1]), options);
    values.LearnRates = info.BaseLearnRate;
end

function values = rates(schedule)
    values = struct('InitialLearnRate', 1, 'Schedule', '');
    values.Schedule = scheduleText(schedule);
    layers = [featureInputLayer(1, 'Normalization', 'none', 'Name', 'input')
              fullyConnectedLayer(1, 'Weights', 1, 'Bias', 0, 'Name', 'linear')];
    options = quietOptions('MaxEpochs', 12, 'MiniBatchSize', 2, 'InitialLearnRate', 1, 'LearnRateSchedule', schedule);
    [~, info] = trainnet([0; 0], [0; 0], dlnetwork(layers), 'mse', options);
    values.LearnRates = reshape(info.TrainingHistory.LearnRate, 1, []);
end

function plain = scheduleText(schedule)
    plain = schedule;
    if iscell(schedule)
        plain = cellfun(@scheduleText, schedule, 'UniformOutput', false);
    elseif ~ischar(schedule)
        plain = struct('Class', class(schedule), 'Properties', publicProperties(schedule, {}));
    end
end

% 7: resizing a ramp, augmenting an impulse and a ramp ----------------------

function experiments = imageExperiments()
    experiments = {7, 'ResizeSingle', @() resizedRamp('single')
                   7, 'ResizeUint8', @() resizedRamp('uint8')
                   7, 'Rotation', @() augmented('RandRotation', 30)
                   7, 'Scale', @() augmented('RandScale', 1.5)
                   7, 'XTranslation', @() augmented('RandXTranslation', 1.5)
                   7, 'XShear', @() augmented('RandXShear', 20)
                   7, 'RotationAndXTranslation', @() augmented('RandRotation', 30, 'RandXTranslation', 2)
                   7, 'RotationAndXShear', @() augmented('RandRotation', 30, 'RandXShear', 20)};
end

function values = resizedRamp(className)
    values.Image = cast(reshape(4 * (0:63), 8, 8), className);
    values.Sizes = [4, 4; 5, 7; 16, 16];
    values.Resized = cell(3, 1);
    for k = 1:3
        batch = read(augmentedImageDatastore(values.Sizes(k, :), values.Image));
        values.Resized{k} = batch.input{1};
    end
end

function values = augmented(varargin)
    % Both ends of each range are the same, so nothing is left to chance.
    values.Options = varargin;
    ranges = varargin;
    ranges(2:2:end) = cellfun(@(value) [value, value], ranges(2:2:end), 'UniformOutput', false);
    augmenter = imageDataAugmenter(ranges{:});
    values.Impulse = zeros(9, 9, 'single');
    values.Impulse(4, 6) = 100;
    values.Ramp = single(reshape(1:81, 9, 9));
    values.AugmentedImpulse = augment(augmenter, values.Impulse);
    values.AugmentedRamp = augment(augmenter, values.Ramp);
end

% 8: layers: their properties by default, and one forward -------------------

function experiments = layerExperiments()
    experiments = {8, 'GRUAfterMultiplication', @() gruForward('after-multiplication', 6)
                   8, 'GRUBeforeMultiplication', @() gruForward('before-multiplication', 6)
                   8, 'GRURecurrentBias', @() gruForward('recurrent-bias-after-multiplication', 12)
                   8, 'GRUDefaults', @() struct('Properties', publicProperties(gruLayer(2), {}))
                   8, 'GELU', @() imageForward(geluLayer)
                   8, 'ELU', @() imageForward(eluLayer)
                   8, 'LeakyReLU', @() imageForward(leakyReluLayer)
                   8, 'PReLU', @() imageForward(preluLayer)
                   8, 'Swish', @() imageForward(swishLayer)
                   8, 'LayerNormalization', @() imageForward(layerNormalizationLayer)
                   8, 'InstanceNormalization', @() imageForward(instanceNormalizationLayer)
                   8, 'GroupNormalization', @() imageForward(groupNormalizationLayer(2))
                   8, 'CrossChannelNormalization', @() imageForward(crossChannelNormalizationLayer(2))
                   8, 'AveragePooling', @() imageForward(averagePooling2dLayer(2, 'Padding', 1))
                   8, 'SequenceLayerNormalization', @() sequenceForward(layerNormalizationLayer)};
end

function values = gruForward(mode, biases)
    values.ResetGateMode = mode;
    values.InputWeights = reshape(linspace(-1, 1, 12), 6, 2);
    values.RecurrentWeights = reshape(sin(1:12), 6, 2);
    values.Bias = cos(1:biases)';
    layer = gruLayer(2, 'ResetGateMode', mode, 'InputWeights', values.InputWeights, ...
                     'RecurrentWeights', values.RecurrentWeights, 'Bias', values.Bias);
    values = merged(values, sequenceForward(layer));
end

function values = sequenceForward(layer)
    % channels x observations x time steps
    values.Input = single(reshape([0.5, -1, 2, 0.25, -0.75, 1.5, 0.1, -0.2, 0.3, 1, -2, 0.6], 2, 2, 3));
    values = merged(values, forwardValues(sequenceInputLayer(2), layer, dlarray(values.Input, 'CBT')));
end

function values = imageForward(layer)
    % height x width x channels x observations
    values.Input = single(reshape(sin(1:32), 2, 2, 4, 2) * 2);
    values = merged(values, forwardValues(imageInputLayer([2, 2, 4], 'Normalization', 'none'), layer, ...
                                          dlarray(values.Input, 'SSCB')));
end

function values = forwardValues(input, layer, X)
    input.Name = 'input';
    layer.Name = 'layer';
    net = dlnetwork([input; layer]);
    values.Output = predict(net, X);
    values.Format = dims(values.Output);
    values.Properties = publicProperties(net.Layers(2), {});
end

% 9: three validation observations in mini-batches of two -------------------

function experiments = validationExperiments()
    experiments = {9, 'PartialValidation', @partialValidation
                   9, 'TrainnetPartialValidation', @trainnetPartialValidation};
end

function values = partialValidation()
    % The training data fit exactly, so nothing moves. Validation losses of 1, 1
    % and 16 halves: 3 as a mean of observations, 4.25 as one of mini-batches.
    values = validationValues();
    options = quietOptions('MaxEpochs', 1, 'MiniBatchSize', 2, 'InitialLearnRate', 1e-6, 'L2Regularization', 0, ...
                           'ValidationData', {reshape(values.Inputs, 1, 1, 1, 3), values.Targets});
    [~, info] = trainNetwork(ones(1, 1, 1, 2), [1; 1], linearLayers(1, 0, [1, 1]), options);
    values.ValidationLoss = info.ValidationLoss;
end

function values = trainnetPartialValidation()
    values = validationValues();
    layers = [featureInputLayer(1, 'Normalization', 'none', 'Name', 'input')
              fullyConnectedLayer(1, 'Weights', 1, 'Bias', 0, 'Name', 'linear')];
    options = quietOptions('MaxEpochs', 1, 'MiniBatchSize', 2, 'InitialLearnRate', 1e-6, 'L2Regularization', 0, ...
                           'ValidationData', {values.Inputs, values.Targets});
    [~, info] = trainnet([1; 1], [1; 1], dlnetwork(layers), 'mse', options);
    values.ValidationHistory = info.ValidationHistory;
end

function values = validationValues()
    values = struct('Inputs', [1; 1; 4], 'Targets', [0; 0; 0], 'MiniBatchSize', 2);
end
