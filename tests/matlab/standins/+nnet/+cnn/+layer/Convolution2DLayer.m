classdef Convolution2DLayer < LayerBase

    properties
        FilterSize = [3, 3];
        PaddingMode = 'manual';
        Weights = [];
        Bias = [];
        WeightLearnRateFactor = 1;
        BiasLearnRateFactor = 1;
        WeightL2Factor = 1;
        BiasL2Factor = 0;
        WeightsInitializer = 'glorot';
    end

    methods

        function layer = Convolution2DLayer(varargin)
            layer = assign(layer, varargin);
        end

    end
end
