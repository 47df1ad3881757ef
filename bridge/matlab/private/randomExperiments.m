function experiments = randomExperiments()
    % RANDOMEXPERIMENTS What draws how much from the default random stream.
    %
    %   Each experiment begins with rng(0). Next is the number that rand gives
    %   after it, which tells how many doubles it drew.

    experiments = {10, 'RandpermOfSome', @() drawn('randperm', 10, 3)
                   10, 'RandpermOfAll', @() drawn('randperm', 10, 10)
                   10, 'RandSingle', @() drawn('rand', 1, 4, 'single')
                   10, 'EpochOrder', @() epochOrder(@trainedNetwork, {})
                   10, 'EpochOrderValidated', @() epochOrder(@trainedNetwork, validated())
                   10, 'TrainnetEpochOrder', @() epochOrder(@trainedByTrainnet, {})
                   10, 'TrainnetEpochOrderValidated', @() epochOrder(@trainedByTrainnet, validated())
                   10, 'SplitRandomized', @splitRandomized
                   10, 'Holdout', @holdout
                   10, 'DropoutMask', @dropoutMask
                   10, 'RandGPU', @randGPU};
end

function values = drawn(name, varargin)
    rng(0);
    values = struct('Function', name, 'Arguments', {varargin}, 'Numbers', feval(name, varargin{:}), 'Next', rand());
end

function values = epochOrder(train, validation)
    % Inputs of 0 and targets 1 to 5 in mini-batches of one: half the squared
    % target of each iteration's loss tells which observation it saw.
    values = struct('Observations', 5, 'MaxEpochs', 3, 'ValidationObservations', 2 * ~isempty(validation));
    options = trainingOptions('sgdm', 'InitialLearnRate', 1e-12, 'MaxEpochs', 3, 'MiniBatchSize', 1, ...
                              'Shuffle', 'every-epoch', 'L2Regularization', 0, 'Verbose', false, 'Plots', 'none', ...
                              'ExecutionEnvironment', 'cpu', validation{:});
    rng(0);
    values.TrainingLoss = train(options);
    values.Next = rand();
end

function options = validated()
    options = {'ValidationData', {zeros(1, 1, 1, 2), [0; 0]}, 'ValidationFrequency', 2};
end

function losses = trainedNetwork(options)
    layers = [imageInputLayer([1, 1, 1], 'Normalization', 'none', 'Name', 'input')
              fullyConnectedLayer(1, 'Weights', 1, 'Bias', 0, 'Name', 'linear')
              regressionLayer('Name', 'output')];
    [~, info] = trainNetwork(zeros(1, 1, 1, 5), (1:5)', layers, options);
    losses = info.TrainingLoss;
end

function losses = trainedByTrainnet(options)
    % The loss of trainnet's mse is the squared target, without the half.
    layers = [imageInputLayer([1, 1, 1], 'Normalization', 'none', 'Name', 'input')
              fullyConnectedLayer(1, 'Weights', 1, 'Bias', 0, 'Name', 'linear')];
    [~, info] = trainnet(zeros(1, 1, 1, 5), (1:5)', dlnetwork(layers), 'mse', options);
    losses = info.TrainingHistory.Loss / 2;
end

function values = splitRandomized()
    folder = tempname();
    for label = 'ab'
        mkdir(fullfile(folder, label));
        for number = 1:5
            imwrite(uint8(number), fullfile(folder, label, sprintf('%d.png', number)));
        end
    end
    images = imageDatastore(folder, 'IncludeSubfolders', true, 'LabelSource', 'foldernames');
    rng(0);
    [part, rest] = splitEachLabel(images, 2, 'randomized');
    values = struct('Part', {namesIn(part)}, 'Rest', {namesIn(rest)}, 'Next', rand());
    rmdir(folder, 's');
end

function names = namesIn(images)
    [folders, files] = cellfun(@fileparts, images.Files, 'UniformOutput', false);
    names = cellfun(@(folder, file) [folder(end), file], folders, files, 'UniformOutput', false);
end

function values = holdout()
    rng(0);
    parts = cvpartition(10, 'HoldOut', 0.3);
    values = struct('Mask', double(test(parts)), 'Next', rand());
end

function values = dropoutMask()
    network = dlnetwork([featureInputLayer(10, 'Normalization', 'none', 'Name', 'input')
                         dropoutLayer(0.5, 'Name', 'dropout')]);
    rng(0);
    output = forward(network, dlarray(ones(10, 1, 'single'), 'CB'));
    values = struct('Mask', double(extractdata(output)), 'Next', rand());
end

function values = randGPU()
    gpurng(0);
    values = struct('Numbers', gather(rand(1, 4, 'gpuArray')), 'Normals', gather(randn(1, 4, 'gpuArray')));
end
