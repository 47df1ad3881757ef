classdef FullyConnectedLayer < LayerBase

    properties
        OutputSize = 1;
        Weights = [];
        Bias = [];
        WeightLearnRateFactor = 1;
        BiasLearnRateFactor = 1;
        WeightL2Factor = 1;
        BiasL2Factor = 0;
    end

    methods

        function layer = FullyConnectedLayer(varargin)
            layer = assign(layer, varargin);
        end

        function Y = forwardValue(layer, X)
            if ndims(X) == 4
                Y = layer.Weights * reshape(X, [], size(X, 4)) + layer.Bias;
                Y = reshape(Y, 1, 1, [], size(X, 4));
            else
                Y = layer.Weights * X + layer.Bias;
            end
        end

    end
end
