classdef ClassificationOutputLayer < LayerBase

    properties
        Classes = 'auto';
        ClassWeights = 'none';
    end

    methods

        function layer = ClassificationOutputLayer(varargin)
            layer.OutputNames = {};
            layer = assign(layer, varargin);
        end

    end
end
