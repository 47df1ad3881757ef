function graph = layerGraph()
    % LAYERGRAPH An empty graph.

    graph.Layers = {};
    graph.Connections = cell(0, 2);
end
