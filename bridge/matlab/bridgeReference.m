function reference = bridgeReference(net, X, file, varargin)
    % BRIDGEREFERENCE Save what a network computes, to check a conversion against.
    %
    %   BRIDGEREFERENCE(NET, X, FILE) saves inputs and outputs of NET and, for
    %   every output of every layer, size, minimum, maximum, mean, standard
    %   deviation and about 4,000 seeded samples, with the same of all learnables
    %   and state. NET is a SeriesNetwork, DAGNetwork or dlnetwork. X is a numeric
    %   array, a cell of sequences or a dlarray; of a network with several inputs
    %   a cell with one of these for each. The variable reference in FILE is laid
    %   out in docs/mat-structs.md.
    %
    %   BRIDGEREFERENCE(..., Name, Value) also takes
    %
    %   'Format'                dlarray format of X ('SSCB', 'CBT'), where X is no
    %                           dlarray and one is needed: of a dlnetwork, and for
    %                           gradients
    %   'Samples', 'Seed'       samples of an array (4000) and their seed (1)
    %   'Full'                  true also saves every array whole (false)
    %   'MiniBatchSize'         128; 1 for sequences, which padding would change
    %   'ExecutionEnvironment'  'cpu' (default), 'gpu' or 'auto'
    %   'Classes'               class names, where the network has none
    %
    %   With targets it also trains and saves <FILE without .mat>.steps.mat, its
    %   variable being steps:
    %
    %   'Targets'               T, of the form that trainNetwork or trainnet takes
    %   'Loss'                  loss of trainnet and of the gradients: the name or
    %                           handle of a function of (Y, T)
    %   'Gradients'             true saves the loss and its gradients over X (false)
    %   'Steps'                 number of training iterations, each over all of X (0)
    %   'TrainingOptions'       arguments of trainingOptions in a cell:
    %                           {'sgdm', 'InitialLearnRate', 0.01}. MaxEpochs,
    %                           MiniBatchSize and Shuffle are set here.
    %
    %   A SeriesNetwork or DAGNetwork is trained by trainNetwork, a dlnetwork by
    %   trainnet. To tell the learnables after step k, the training is run anew
    %   with k iterations, so keep the number of steps small.
    %
    %   BRIDGEREFERENCE(DETECTOR, IMAGES, FILE) saves what detect finds with an
    %   object detector in an image or a cell of them, and what that comes from:
    %   the resized images, the network's output, the boxes before the strongest
    %   are selected. Its variable is detections; it takes 'ExecutionEnvironment'
    %   and
    %
    %   'Threshold'             of detect (0.5)
    %
    %   REFERENCE = BRIDGEREFERENCE(...) also returns the variable saved.
    %
    %   Example:
    %       bridgeReference(net, XVal(:, :, :, 1:8), 'reference.mat')
    %       bridgeReference(detector, imread('street.png'), 'found.mat')
    %       bridgeReference(net, X, 'reference.mat', 'Format', 'SSCB', ...
    %           'Targets', T, 'Loss', 'crossentropy', 'Gradients', true, ...
    %           'Steps', 5, 'TrainingOptions', {'sgdm', 'InitialLearnRate', 0.01})
    %
    %   See also BRIDGEEXPORT, BRIDGEPROBE.

    given = nameValues(struct('Format', '', 'Samples', 4000, 'Seed', 1, 'Full', false, ...
                              'MiniBatchSize', [], 'ExecutionEnvironment', 'cpu', 'Classes', {{}}, ...
                              'Targets', [], 'Loss', '', 'Gradients', false, 'Steps', 0, ...
                              'TrainingOptions', {{}}, 'Threshold', 0.5), varargin);
    if hasProperty(net, 'Network') && ~isempty(regexp(class(net), 'Detector$', 'once'))
        given.MiniBatchSize = 1;
        reference = merged(environment('bridge.detections/1'), detections(net, X, given));
        writeMat(char(file), 'detections', reference);
        return
    end
    graph = networkGraph(net);
    requireRunnable(graph);
    inputs = inputsOf(X, graph, given);
    if isempty(given.MiniBatchSize)
        given.MiniBatchSize = defaultBatch(inputs{1});
    end
    trains = given.Gradients || given.Steps > 0;
    if trains
        steps = trainingSteps(net, inputs{1}, graph, given);
    end

    reference = merged(environment('bridge.reference/1'), struct('Kind', graph.Kind));
    reference.Hardware = hardware(environmentOf(inputs, graph, given));
    reference.Classes = graph.Classes;
    if ~isempty(given.Classes)
        reference.Classes = nameRow(given.Classes)';
    end
    reference.Samples = given.Samples;
    reference.Seed = given.Seed;
    reference.MiniBatchSize = given.MiniBatchSize;
    reference.Inputs = namedValues(graph.InputNames, inputs);
    reference.Outputs = namedValues(graph.OutputNames, outputsOf(net, inputs, graph, given));
    [reference.Activations, reference.Skipped] = activationRecords(net, inputs, graph, given);
    [reference.Learnables, reference.State] = parameterRecords(graph.Layers, given);
    writeMat(char(file), 'reference', reference);
    if trains
        writeMat([regexprep(char(file), '\.mat$', ''), '.steps.mat'], 'steps', steps);
    end
end

function requireRunnable(graph)
    if any(strcmp(graph.Kind, {'LayerGraph', 'Layers'}))
        fail('unsupported', 'layers without a network compute nothing', ...
             'a layer graph or a layer array has no predict', ...
             'pass the trained network, or assembleNetwork(layers)');
    end
end

% Inputs and outputs --------------------------------------------------------

function inputs = inputsOf(X, graph, given)
    inputs = {X};
    if numel(graph.InputNames) > 1
        inputs = X;
    end
    if ~iscell(inputs) || numel(inputs) ~= numel(graph.InputNames)
        fail('usage', sprintf('the network has %d inputs', numel(graph.InputNames)), ...
             'X has to be a cell with the data of each input', ['inputs: ', strjoin(graph.InputNames, ', ')]);
    end
    if strcmp(graph.Kind, 'dlnetwork')
        inputs = formatted(inputs, given.Format);
    end
end

function count = defaultBatch(X)
    count = 128;
    if iscell(X) % sequences of unequal length would be padded
        count = 1;
    end
end

function name = environmentOf(inputs, graph, given)
    name = char(given.ExecutionEnvironment);
    if strcmp(graph.Kind, 'dlnetwork')
        name = 'cpu';
        if isa(extractdata(inputs{1}), 'gpuArray')
            name = 'gpu';
        end
    end
end

function outputs = outputsOf(net, inputs, graph, given)
    outputs = cell(1, numel(graph.OutputNames));
    if strcmp(graph.Kind, 'dlnetwork')
        [outputs{:}] = predict(net, inputs{:});
    else
        [outputs{:}] = predict(net, inputs{:}, 'MiniBatchSize', given.MiniBatchSize, ...
                               'ExecutionEnvironment', char(given.ExecutionEnvironment));
    end
end

function list = namedValues(names, values)
    list = cell(numel(names), 1);
    for k = 1:numel(names)
        list{k}.Name = names{k};
        list{k}.Format = formatOf(values{k});
        [list{k}.Value, isPlain] = plainValue(values{k});
        if ~isPlain
            fail('usage', ['the data of ', names{k}, ' cannot be saved: ', class(values{k})], ...
                 'a datastore is read from files that the check would not have', ...
                 'read it into an array: X = cat(4, data{:})');
        end
    end
end

% Activations ---------------------------------------------------------------

function [records, skipped] = activationRecords(net, inputs, graph, given)
    records = cell(0, 1);
    skipped = cell(0, 2);
    for k = 1:numel(graph.Layers)
        layer = char(graph.Layers{k}.Name);
        ports = portsOf(graph.Layers{k});
        for p = 1:numel(ports)
            source = layer;
            if numel(ports) > 1
                source = [layer, '/', ports{p}];
            end
            try
                value = activationOf(net, inputs, source, graph, given);
                record = struct('Layer', layer, 'Port', ports{p});
                records{end + 1, 1} = merged(record, measured(plainValue(value), formatOf(value), given)); %#ok<AGROW>
            catch reason
                skipped(end + 1, :) = {source, reason.message}; %#ok<AGROW>
            end
        end
    end
end

function ports = portsOf(layer)
    ports = {'out'};
    if hasProperty(layer, 'OutputNames') && ~isempty(layer.OutputNames)
        ports = nameRow(layer.OutputNames);
    end
end
