function net = dlnetwork(graph, varargin)
    % DLNETWORK A record of what was made of a graph.

    net.Made = 'dlnetwork';
    net.From = graph;
    net.Arguments = varargin;
    net = withNames(net);
end
