function path = bridgeExport(net, file, varargin)
    % BRIDGEEXPORT Save a network as plain structs, beside its .onnx file.
    %
    %   BRIDGEEXPORT(NET, FILE) writes what an .onnx file cannot hold: layer
    %   classes and properties, learnables with their learn-rate and L2 factors,
    %   state, connections and class names, as structs that need no toolbox to be
    %   read. NET is a SeriesNetwork, DAGNetwork, dlnetwork, layer graph or layer
    %   array. FILE names the network, with or without .onnx: 'net' and
    %   'net.onnx' both write net.bridge.mat.
    %
    %   BRIDGEEXPORT(..., 'Classes', NAMES) gives the class names, in the order
    %   of the outputs, where the network has none (a dlnetwork never has).
    %
    %   BRIDGEEXPORT(..., 'Options', OPTIONS) adds the trainingOptions object.
    %
    %   BRIDGEEXPORT(..., 'Info', INFO) adds the training information that
    %   trainNetwork or trainnet returned.
    %
    %   PATH = BRIDGEEXPORT(...) returns the path of the file written. The
    %   layout of its one variable, bridge, is in docs/mat-structs.md.
    %
    %   Example:
    %       exportONNXNetwork(net, 'net.onnx')
    %       bridgeExport(net, 'net.onnx', 'Options', options, 'Info', info)
    %
    %   See also BRIDGEREFERENCE, BRIDGEDATA, BRIDGEPROBE.

    given = nameValues(struct('Classes', {{}}, 'Options', [], 'Info', []), varargin);
    path = bridgePath(char(file));
    graph = networkGraph(net);

    bridge = environment('bridge.network/1');
    bridge.Kind = graph.Kind;
    bridge.Layers = cellfun(@layerStruct, graph.Layers, 'UniformOutput', false);
    requireAllLearnables(net, bridge);
    bridge.Connections = graph.Connections;
    bridge.InputNames = graph.InputNames;
    bridge.OutputNames = graph.OutputNames;
    bridge.Classes = graph.Classes;
    if ~isempty(given.Classes)
        bridge.Classes = nameRow(given.Classes)';
    end
    bridge.TrainingOptions = plainObject(given.Options, 'Options');
    bridge.TrainingInfo = plainObject(given.Info, 'Info');
    writeMat(path, 'bridge', bridge);
end

function path = bridgePath(file)
    if endsWith(file, '.bridge.mat')
        path = file;
        return
    end
    [folder, name, extension] = fileparts(file);
    if strcmpi(extension, '.mat')
        fail('usage', ['the file would not be told from MATLAB''s own: ', file], ...
             'the files of bridgeExport end in .bridge.mat', ...
             'pass the name without extension, or the name of the .onnx file');
    elseif ~strcmpi(extension, '.onnx')
        name = [name, extension];
    end
    path = fullfile(folder, [name, '.bridge.mat']);
end

function requireAllLearnables(net, bridge)
    % A dlnetwork lists its learnables itself: none of them may be missed.
    if strcmp(bridge.Kind, 'dlnetwork')
        expected = numel(cellstr(net.Learnables.Layer));
        found = sum(cellfun(@(layer) numel(fieldnames(layer.Learnables)), bridge.Layers));
        if found ~= expected
            fail('unsupported', sprintf('found %d of the %d learnables of the network', found, expected), ...
                 'a layer keeps a learnable where no public property shows it', ...
                 'call expandLayers (R2024a on) first; look at net.Learnables for the layer');
        end
    end
end

function plain = plainObject(object, argument)
    if isempty(object)
        plain = [];
    elseif isstruct(object)
        [plain, isPlain] = plainValue(object);
        skipped = {};
        if ~isPlain
            names = fieldnames(plain);
            [~, kept] = cellfun(@(name) plainValue(plain.(name)), names, 'UniformOutput', false);
            skipped = names(~cell2mat(kept))';
            plain = rmfield(plain, skipped);
        end
    else
        [plain, skipped] = publicProperties(object, {});
        [plain, skipped] = withSchedule(plain, skipped, object);
    end
    if ~isempty(object) && ~isempty(skipped)
        warning('bridge:skipped', '%s: left out, because they hold objects: %s', argument, strjoin(skipped, ', '));
    end
end

function [plain, skipped] = withSchedule(plain, skipped, options)
    % Learn-rate schedules are objects from R2024b on, one or a cell of them.
    name = 'LearnRateSchedule';
    if any(strcmp(skipped, name))
        schedules = options.(name);
        if iscell(schedules)
            plain.(name) = cellfun(@scheduleStruct, schedules, 'UniformOutput', false);
        else
            plain.(name) = scheduleStruct(schedules);
        end
        skipped = setdiff(skipped, {name});
    end
end

function plain = scheduleStruct(schedule)
    if ischar(schedule) || isa(schedule, 'string')
        plain = char(schedule);
    else
        plain = struct('Class', class(schedule), 'Properties', publicProperties(schedule, {}));
    end
end
