classdef BatchNormalizationLayer < LayerBase

    properties
        Epsilon = 1e-5;
        TrainedMean = [];
        TrainedVariance = [];
        Offset = [];
        Scale = [];
        ScaleLearnRateFactor = 1;
        OffsetLearnRateFactor = 1;
        ScaleL2Factor = 1;
        OffsetL2Factor = 1;
    end

    methods

        function layer = BatchNormalizationLayer(varargin)
            layer = assign(layer, varargin);
        end

    end
end
