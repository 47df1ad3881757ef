function graph = addLayers(graph, layer)
    % ADDLAYERS A graph with one more layer, which is not connected.

    graph.Layers{end + 1, 1} = layer;
end
