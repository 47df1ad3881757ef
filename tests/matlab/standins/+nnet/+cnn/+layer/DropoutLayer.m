classdef DropoutLayer < LayerBase

    properties
        Probability = 0.5;
    end

    methods

        function layer = DropoutLayer(varargin)
            layer = assign(layer, varargin);
        end

    end
end
