classdef RegressionOutputLayer < LayerBase

    methods

        function layer = RegressionOutputLayer(varargin)
            layer.OutputNames = {};
            layer = assign(layer, varargin);
        end

    end
end
