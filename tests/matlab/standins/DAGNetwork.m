classdef DAGNetwork

    properties
        Layers
        Connections
    end

    methods

        function net = DAGNetwork(layers, connections)
            net.Layers = layers;
            net.Connections = connections;
        end

    end
end
