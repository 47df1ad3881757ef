classdef NetworkLayer < LayerBase

    properties
        Network = [];
    end

    methods

        function layer = NetworkLayer(varargin)
            layer = assign(layer, varargin);
        end

    end
end
