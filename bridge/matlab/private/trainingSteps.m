function steps = trainingSteps(net, X, graph, given)
    % TRAININGSTEPS Gradients of a network and its first training iterations.
    %
    %   STEPS = TRAININGSTEPS(NET, X, GRAPH, GIVEN) is the variable of a steps
    %   file; GRAPH is of NETWORKGRAPH, GIVEN the arguments of BRIDGEREFERENCE.

    requireTrainable(graph, given);
    steps = merged(environment('bridge.steps/1'), struct('Kind', graph.Kind));
    steps.Hardware = hardware('cpu');
    steps.Samples = given.Samples;
    steps.Seed = given.Seed;
    steps.Loss = plainValue(given.Loss);
    steps.Targets = plainValue(given.Targets);
    steps.Gradients = [];
    if given.Gradients
        steps.Gradients = gradientsOf(net, X, graph, given);
    end
    steps.Trainer = 'trainNetwork';
    if strcmp(graph.Kind, 'dlnetwork')
        steps.Trainer = 'trainnet';
    end
    steps.TrainingOptions = plainValue(reshape(given.TrainingOptions, 1, []));
    steps.Steps = cell(given.Steps, 1);
    for k = 1:given.Steps
        steps.Steps{k} = stepOf(net, X, graph, given, k);
    end
end

function requireTrainable(graph, given)
    if numel(graph.InputNames) > 1 || numel(graph.OutputNames) > 1
        fail('unsupported', 'gradients and steps are of networks with one input and one output', ...
             sprintf('this one has %d and %d', numel(graph.InputNames), numel(graph.OutputNames)), ...
             'leave out ''Gradients'' and ''Steps''');
    end
    if isempty(given.Targets)
        fail('usage', 'gradients and steps need targets', 'a loss compares outputs with targets', ...
             'pass ''Targets'', T');
    end
    if isempty(given.Loss) && (given.Gradients || strcmp(graph.Kind, 'dlnetwork'))
        fail('usage', 'the loss is not known', 'only trainNetwork takes it from the output layer', ...
             'pass ''Loss'', ''crossentropy'' or another function of (Y, T)');
    end
    if given.Steps > 0 && isempty(given.TrainingOptions)
        fail('usage', 'steps need a solver', 'the arguments of trainingOptions are missing', ...
             'pass ''TrainingOptions'', {''sgdm'', ''InitialLearnRate'', 0.01}');
    end
    names = cellfun(@(layer) char(layer.Name), graph.Layers, 'UniformOutput', false);
    random = names(cellfun(@dropsOut, graph.Layers));
    if ~isempty(random)
        fail('unsupported', ['layers that drop elements at random: ', strjoin(random', ', ')], ...
             'the random stream of MATLAB cannot be repeated elsewhere, so training could not be compared', ...
             'replace them by the same layers with probability 0 (replaceLayer)');
    end
end

function found = dropsOut(layer)
    names = properties(layer);
    names = names(endsWith(names, 'Probability')); % DropoutProbability of attention
    found = any(cellfun(@(name) any(layer.(name) > 0), names));
end

% Training iterations -------------------------------------------------------

function step = stepOf(net, X, graph, given, iterations)
    options = optionsFor(X, given, iterations);
    step.Iteration = iterations;
    if strcmp(graph.Kind, 'dlnetwork')
        [trained, info] = trainnet(plainValue(X), given.Targets, net, given.Loss, options);
        losses = info.TrainingHistory.Loss;
        rates = info.TrainingHistory.LearnRate;
    else
        [trained, info] = trainNetwork(X, given.Targets, trainable(net, graph), options);
        losses = info.TrainingLoss;
        rates = info.BaseLearnRate;
    end
    step.Loss = double(losses(iterations));
    step.LearnRate = double(rates(iterations));
    trainedGraph = networkGraph(trained);
    [step.Learnables, step.State] = parameterRecords(trainedGraph.Layers, given);
end

function options = optionsFor(X, given, iterations)
    % One epoch is one iteration: a mini-batch larger than the data is one of
    % all observations, and their number is no more than the longest dimension.
    pairs = given.TrainingOptions;
    if isa(X, 'dlarray')
        pairs = [pairs, {'InputDataFormats', dims(X)}];
    end
    options = trainingOptions(pairs{:}, 'MaxEpochs', iterations, 'MiniBatchSize', max(size(X)), ...
                              'Shuffle', 'never', 'Verbose', false, 'Plots', 'none', 'ExecutionEnvironment', 'cpu');
end

function layers = trainable(net, graph)
    % A series network keeps its layers as an array, a DAG network as a graph.
    if strcmp(graph.Kind, 'SeriesNetwork')
        layers = layerGraph(net.Layers);
    else
        layers = layerGraph(net);
    end
end

% Gradients -----------------------------------------------------------------

function parts = gradientsOf(net, X, graph, given)
    if ~strcmp(graph.Kind, 'dlnetwork')
        net = dlnetwork(removeLayers(trainable(net, graph), graph.OutputNames));
    end
    lossFunction = given.Loss;
    if ~isa(lossFunction, 'function_handle')
        lossFunction = str2func(char(lossFunction));
    end
    inputs = formatted({X}, given.Format);
    [loss, gradients] = dlfeval(@lossAndGradients, net, inputs{1}, targetArray(given.Targets), lossFunction);
    parts.Loss = double(plainValue(loss));
    layers = cellstr(gradients.Layer);
    parameters = cellstr(gradients.Parameter);
    parts.Learnables = cell(numel(layers), 1);
    for k = 1:numel(layers)
        record = struct('Layer', layers{k}, 'Parameter', parameters{k});
        parts.Learnables{k} = merged(record, measured(plainValue(gradients.Value{k}), '', given));
    end
end

function [loss, gradients] = lossAndGradients(net, X, targets, lossFunction)
    Y = forward(net, X);
    if strcmp(dims(Y), 'CB')
        targets = targets'; % trainNetwork and trainnet have observations in rows
    end
    loss = lossFunction(Y, dlarray(targets, dims(Y)));
    gradients = dlgradient(loss, net.Learnables);
end

function targets = targetArray(targets)
    % A label becomes a row that is 1 at its class.
    if isa(targets, 'categorical')
        names = categories(targets)';
        rows = cellfun(@(label) strcmp(names, label), cellstr(targets(:)), 'UniformOutput', false);
        targets = cat(1, rows{:});
    end
    targets = single(targets);
end
