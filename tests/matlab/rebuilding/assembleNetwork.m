function net = assembleNetwork(layers)
    % ASSEMBLENETWORK A record of what was assembled, an array or a graph.

    net.Made = 'assembleNetwork';
    net.From = layers;
    net = withNames(net);
end
