classdef LSTMLayer < LayerBase

    properties
        NumHiddenUnits = 2;
        InputWeights = [];
        RecurrentWeights = [];
        Bias = [];
        InputWeightsLearnRateFactor = 1;
        RecurrentWeightsLearnRateFactor = 1;
        BiasLearnRateFactor = 1;
        InputWeightsL2Factor = 1;
        RecurrentWeightsL2Factor = 1;
        BiasL2Factor = 0;
        HiddenState = [];
        CellState = [];
    end

    methods

        function layer = LSTMLayer(varargin)
            layer = assign(layer, varargin);
        end

    end
end
