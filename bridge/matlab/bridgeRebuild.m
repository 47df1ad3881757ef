function [net, classes] = bridgeRebuild(file, varargin)
    % BRIDGEREBUILD Make a network of the structs that bridge export wrote.
    %
    %   NET = BRIDGEREBUILD(FILE) makes each layer of FILE with its constructor:
    %   weights, learn-rate and L2 factors, statistics, class names, input
    %   normalization. A network with output layers becomes a SeriesNetwork or
    %   DAGNetwork (assembleNetwork), one without a dlnetwork. A layer array or
    %   layer graph, and layers that are not trained, come back unassembled.
    %   NET is then run on the test input of FILE; where its output differs from
    %   that of PyTorch beyond the tolerance, it is an error.
    %
    %   BRIDGEREBUILD(..., 'Save', PATH) saves NET alone into PATH, as
    %   coder.loadDeepLearningNetwork takes it.
    %
    %   BRIDGEREBUILD(..., 'Tolerance', T) is the difference allowed, as a part of
    %   the largest absolute value of an output; that in FILE (1e-4) by default.
    %
    %   [NET, CLASSES] = BRIDGEREBUILD(...) returns the class names as well, in the
    %   order of the outputs (C x 1 cellstr), which a dlnetwork does not hold.
    %
    %   For R2019b or newer, as documented. This file needs no other one.
    %
    %   Example:
    %       [net, classes] = bridgeRebuild('back.mat');
    %
    %   See also BRIDGEEXPORT, ASSEMBLENETWORK, DLNETWORK.

    given = inputParser;
    given.FunctionName = 'bridgeRebuild';
    given.addParameter('Save', '', @(path) ischar(path) || isa(path, 'string'));
    given.addParameter('Tolerance', [], @(value) isempty(value) || (isnumeric(value) && isscalar(value) && value >= 0));
    given.parse(varargin{:});

    bridge = structsOf(char(file));
    requireConstructors(bridge.Layers);
    layers = cellfun(@layerOf, bridge.Layers, 'UniformOutput', false);
    [net, runs] = networkOf(layers, bridge);
    classes = reshape(bridge.Classes, [], 1);
    if runs && ~isempty(bridge.TestOutput)
        tolerance = given.Results.Tolerance;
        if isempty(tolerance)
            tolerance = bridge.Tolerance;
        end
        requireOutputs(net, bridge, tolerance);
    else
        warning('bridge:untested', '%s has been rebuilt, and not been run: it holds no test input, or no assembled network', char(file));
    end
    if ~isempty(given.Results.Save)
        saveAlone(char(given.Results.Save), net, bridge);
    end
end

function bridge = structsOf(file)
    if exist(file, 'file') ~= 2
        fail('usage', ['there is no file ', file], 'the folder or the name is another one', ['the current folder is ', pwd]);
    end
    content = load(file);
    if ~isfield(content, 'bridge') || ~isfield(content.bridge, 'Format') || ~strncmp(content.bridge.Format, 'bridge.network/', 15)
        fail('unreadable', [file, ' holds no network as structs'], 'its variable ''bridge'' is missing or another one', ...
             'bridge export net -o back.mat writes such a file');
    end
    bridge = content.bridge;
    if ~strcmp(bridge.Format, 'bridge.network/1')
        fail('unsupported', [file, ' has the format ', bridge.Format], 'this bridgeRebuild knows bridge.network/1', ...
             'take the bridgeRebuild.m that was written beside the file');
    end
    if ~isfield(bridge.Layers{1}, 'Constructor')
        fail('unsupported', [file, ' does not name the constructors of its layers'], 'it is a file of bridgeExport', ...
             'import it, and export it again: bridge export does name them');
    end
end

% Layers --------------------------------------------------------------------

function requireConstructors(layers)
    isCustom = cellfun(@(layer) isempty(regexp(layer.Constructor, '^[a-z]\w*Layer$', 'once')), layers);
    if any(isCustom)
        fail('unsupported', ['layers of classes that are not MathWorks'': ', listed(layers(isCustom), 'Class')], ...
             'their constructors are not known here', ...
             'replace them before the export, or make the network from the structs yourself');
    end
    isOdd = ~cellfun(@(layer) isPlain(layer.Arguments), layers);
    if any(isOdd)
        fail('unsupported', ['layers with arguments that are no plain values: ', listed(layers(isOdd), 'Class')], ...
             'a function or an object in a file may do anything', 'export the network again with bridge export');
    end
    isMissing = cellfun(@(layer) exist(layer.Constructor) == 0, layers); %#ok<EXIST>
    if any(isMissing)
        fail('unsupported', ['this MATLAB cannot make the layers ', listed(layers(isMissing), 'Constructor')], ...
             ['R', version('-release'), ' or its toolboxes lack these functions'], ...
             'use a newer release, with the Computer Vision or Text Analytics Toolbox where the layers are theirs');
    end
end

function isValue = isPlain(value)
    % Numbers, texts and cells of these; nothing that can be called.
    if iscell(value)
        isValue = all(cellfun(@isPlain, value(:)'));
    else
        isValue = isnumeric(value) || islogical(value) || ischar(value) || isa(value, 'string');
    end
end

function text = listed(layers, field)
    text = strjoin(cellfun(@(layer) [layer.Name, ' (', layer.(field), ')'], layers', 'UniformOutput', false), ', ');
end

function layer = layerOf(parts)
    arrays = [learnedArrays(parts.Learnables), namedArrays(parts.State)];
    layer = feval(parts.Constructor, parts.Arguments{:}, arrays{:}, 'Name', parts.Name);
    if parts.SetsFactors
        layer = withFactors(layer, parts.Learnables);
    end
end

function pairs = learnedArrays(learnables)
    names = fieldnames(learnables);
    values = struct();
    for k = 1:numel(names)
        values.(names{k}) = learnables.(names{k}).Value;
    end
    pairs = namedArrays(values);
end

function pairs = namedArrays(values)
    % Arrays that hold nothing are left to the constructor.
    names = fieldnames(values);
    pairs = {};
    for k = 1:numel(names)
        if ~isempty(values.(names{k}))
            pairs = [pairs, names(k), {values.(names{k})}]; %#ok<AGROW>
        end
    end
end

function layer = withFactors(layer, learnables)
    names = fieldnames(learnables);
    for k = 1:numel(names)
        learnable = learnables.(names{k});
        if isfield(learnable, 'LearnRateFactor')
            layer = setLearnRateFactor(layer, names{k}, learnable.LearnRateFactor);
            layer = setL2Factor(layer, names{k}, learnable.L2Factor);
        end
    end
end

% Network -------------------------------------------------------------------

function [net, runs] = networkOf(layers, bridge)
    names = cellfun(@(layer) layer.Name, bridge.Layers, 'UniformOutput', false);
    isChain = isequal(bridge.Connections, [names(1:end - 1, 1), names(2:end, 1)]);
    if isChain && any(strcmp(bridge.Kind, {'SeriesNetwork', 'Layers'}))
        net = vertcat(layers{:}); % assembleNetwork makes a SeriesNetwork of an array
    else
        net = graphOf(layers, bridge.Connections);
    end
    runs = ~any(strcmp(bridge.Kind, {'Layers', 'LayerGraph'})) && all(cellfun(@isTrained, bridge.Layers));
    if runs && any(cellfun(@(layer) isempty(layer.OutputNames), bridge.Layers)) % an output layer
        net = assembleNetwork(net);
    elseif runs
        net = dlnetworkOf(graphOf(layers, bridge.Connections), bridge.OutputNames);
    end
end

function trained = isTrained(layer)
    trained = all(structfun(@(learnable) ~isempty(learnable.Value), layer.Learnables));
end

function graph = graphOf(layers, connections)
    % addLayers connects an array, so each layer is added alone.
    graph = layerGraph();
    for k = 1:numel(layers)
        graph = addLayers(graph, layers{k});
    end
    for k = 1:size(connections, 1)
        graph = connectLayers(graph, connections{k, 1}, connections{k, 2});
    end
end

function net = dlnetworkOf(graph, outputs)
    net = dlnetwork(graph);
    known = namesOf(net, 'OutputNames', outputs);
    if ~isequal(known(:), outputs(:)) % an output that is read inside the network too, or another order
        net = dlnetwork(graph, 'OutputNames', outputs);
    end
end

function names = namesOf(net, property, fallback)
    % Networks name their inputs and outputs since R2020a.
    try
        names = net.(property);
    catch
        names = fallback;
    end
end

% Test ----------------------------------------------------------------------

function requireOutputs(net, bridge, tolerance)
    hasOutputLayers = any(cellfun(@(layer) isempty(layer.OutputNames), bridge.Layers));
    inputs = ordered(bridge.TestInput, namesOf(net, 'InputNames', {}));
    if hasOutputLayers
        expected = ordered(bridge.TestOutput, namesOf(net, 'OutputNames', {}));
        found = assembledOutputs(net, inputs, numel(expected));
    else
        expected = bridge.TestOutput;
        found = dlnetworkOutputs(net, inputs, expected);
    end
    for k = 1:numel(expected)
        requireClose(found{k}, expected{k}, tolerance);
    end
end

function samples = ordered(samples, names)
    [isKnown, places] = ismember(names, cellfun(@(each) each.Name, samples, 'UniformOutput', false));
    if numel(names) == numel(samples) && all(isKnown)
        samples = samples(places);
    end
end

function found = assembledOutputs(net, inputs, count)
    values = cellfun(@(input) asPredictTakes(input), inputs, 'UniformOutput', false);
    found = cell(count, 1);
    [found{:}] = predict(net, values{:}, 'ExecutionEnvironment', 'cpu');
    for k = 1:count
        if iscell(found{k}) % sequences
            found{k} = found{k}{1};
        end
    end
end

function value = asPredictTakes(input)
    % Features in rows, sequences in a cell without their dimension of observations.
    value = input.Value;
    if any(input.Format == 'T')
        sizes = [size(value), 1];
        sizes(input.Format == 'B') = [];
        value = {reshape(value, sizes)};
    elseif strcmp(input.Format, 'CB')
        value = value';
    end
end

function found = dlnetworkOutputs(net, inputs, expected)
    values = cellfun(@(input) dlarray(input.Value, input.Format), inputs, 'UniformOutput', false);
    names = cellfun(@(output) output.Name, expected, 'UniformOutput', false);
    found = cell(numel(names), 1);
    [found{:}] = predict(net, values{:}, 'Outputs', names);
    found = cellfun(@extractdata, found, 'UniformOutput', false);
end

function requireClose(found, expected, tolerance)
    % One observation: its elements stand in the same order in every layout.
    found = double(found(:));
    wanted = double(expected.Value(:));
    if numel(found) ~= numel(wanted)
        differs(expected.Name, sprintf('%d values instead of %d', numel(found), numel(wanted)));
    end
    if ~isequal(isnan(found), isnan(wanted))
        differs(expected.Name, 'NaN in other places');
    end
    known = ~isnan(wanted);
    difference = max([0; abs(found(known) - wanted(known))]);
    range = max([0; abs(wanted(known))]);
    if difference > tolerance * range
        differs(expected.Name, sprintf('a difference of %.2g, where %.2g of the range of %.2g are allowed', difference, tolerance, range));
    end
end

function differs(name, how)
    fail('difference', ['output ', name, ' is not what PyTorch computed: ', how], ...
         'a layer works otherwise than its torch module, or was rebuilt wrongly', ...
         'bridgeReference, then bridge check, names the first layer that differs; ''Tolerance'' allows more');
end

% Files and errors ----------------------------------------------------------

function saveAlone(path, net, bridge) %#ok<INUSD>
    content.net = net; %#ok<STRNU>
    details = whos('bridge'); % the same arrays; of an object whos does not tell
    if details.bytes < 2^31
        save(path, '-struct', 'content', '-v7');
    else
        save(path, '-struct', 'content', '-v7.3');
    end
end

function fail(kind, what, cause, hint)
    error(['bridge:', kind], 'error: %s\ncause: %s\nhint:  %s', what, cause, hint);
end
