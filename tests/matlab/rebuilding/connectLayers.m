function graph = connectLayers(graph, source, destination)
    % CONNECTLAYERS A graph with one more connection.

    graph.Connections(end + 1, :) = {source, destination};
end
