function graph = removeLayers(graph, names)
    % REMOVELAYERS A layer graph without the layers of those names.

    kept = {};
    for k = 1:numel(graph.Layers)
        layer = graph.Layers(k);
        if ~any(strcmp(layer.Name, names))
            kept{end + 1} = layer; %#ok<AGROW>
        end
    end
    graph = nnet.cnn.LayerGraph(nnet.cnn.layer.Layer(kept), graph.Connections);
end
