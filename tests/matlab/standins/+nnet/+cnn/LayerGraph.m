classdef LayerGraph

    properties
        Layers
        Connections
    end

    methods

        function graph = LayerGraph(layers, connections)
            graph.Layers = layers;
            graph.Connections = connections;
        end

    end
end
