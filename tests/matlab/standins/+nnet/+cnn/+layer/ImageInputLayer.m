classdef ImageInputLayer < LayerBase

    properties
        InputSize = [];
        Normalization = 'zerocenter';
        Mean = [];
    end

    methods

        function layer = ImageInputLayer(varargin)
            layer.InputNames = {};
            layer = assign(layer, varargin);
        end

    end
end
