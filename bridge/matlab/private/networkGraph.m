function graph = networkGraph(net)
    % NETWORKGRAPH The layers, connections and names of a network, of any kind.
    %
    %   GRAPH = NETWORKGRAPH(NET) has the fields Kind, Layers (N x 1 cell of
    %   layer objects), Connections (K x 2 cellstr, also for a chain),
    %   InputNames, OutputNames (1 x n cellstr) and Classes (C x 1 cellstr).

    graph.Kind = kindOf(net);
    graph.Layers = layersOf(net, graph.Kind);
    names = cellfun(@(layer) char(layer.Name), graph.Layers, 'UniformOutput', false);
    requireNames(names);
    requireFlat(graph.Layers, names);
    if any(strcmp(graph.Kind, {'SeriesNetwork', 'Layers'}))
        graph.Connections = [names(1:end - 1), names(2:end)];
    else
        connections = net.Connections;
        graph.Connections = [cellstr(connections.Source), cellstr(connections.Destination)];
    end
    graph.InputNames = endNames(net, graph, names, 'InputNames', 2);
    graph.OutputNames = endNames(net, graph, names, 'OutputNames', 1);
    graph.Classes = classesOf(graph.Layers);
end

function kind = kindOf(net)
    kind = class(net);
    if strcmp(kind, 'nnet.cnn.LayerGraph')
        kind = 'LayerGraph';
    elseif isa(net, 'nnet.cnn.layer.Layer')
        kind = 'Layers';
    elseif ~any(strcmp(kind, {'SeriesNetwork', 'DAGNetwork', 'dlnetwork'}))
        fail('unsupported', sprintf('a %s is no network that bridge knows', kind), ...
             'networks are SeriesNetwork, DAGNetwork, dlnetwork, LayerGraph or layer arrays', ...
             'pass the network inside it: detector.Network of an object detector, for example');
    end
end

function layers = layersOf(net, kind)
    list = net;
    if ~strcmp(kind, 'Layers')
        list = net.Layers;
    end
    layers = cell(numel(list), 1);
    for k = 1:numel(list)
        layers{k} = list(k);
    end
end

function requireNames(names)
    if any(cellfun(@isempty, names)) || numel(unique(names)) < numel(names)
        fail('usage', 'the layers do not all have a name of their own', ...
             'MATLAB names layers only when they become part of a network', ...
             'set Name of each layer, or pass the assembled network');
    end
end

function requireFlat(layers, names)
    nested = names(cellfun(@holdsNetwork, layers));
    if ~isempty(nested)
        fail('unsupported', ['layers hold a network of their own: ', strjoin(nested', ', ')], ...
             'net.bridge.mat has one list of layers and no nesting', ...
             'call expandLayers (R2024a on) first, or build the network from the inner layers');
    end
end

function found = holdsNetwork(layer)
    found = false;
    names = properties(layer);
    for k = 1:numel(names)
        try
            found = found || isa(layer.(names{k}), 'dlnetwork');
        catch % a property that cannot be read holds no network for us
        end
    end
end

function ends = endNames(net, graph, names, property, column)
    % Older releases, layer graphs and arrays do not name their ends: they are
    % the layers that no connection enters (column 2) or leaves (column 1).
    if ~strcmp(graph.Kind, 'Layers') && hasProperty(net, property)
        ends = nameRow(net.(property));
    else
        inner = regexprep(graph.Connections(:, column), '/[^/]*$', '');
        ends = names(~ismember(names, inner))';
    end
end

function classes = classesOf(layers)
    % The Classes of the first output layer that has them; they are the char
    % row 'auto' as long as a network is not trained.
    classes = {};
    for k = 1:numel(layers)
        if isempty(classes) && hasProperty(layers{k}, 'Classes')
            value = plainValue(layers{k}.Classes);
            if iscellstr(value)
                classes = reshape(value, [], 1);
            end
        end
    end
end
