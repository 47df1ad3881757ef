classdef SelfAttentionLayer < LayerBase
    % Its factors answer to getLearnRateFactor and getL2Factor alone.

    properties
        NumHeads = 1;
        QueryWeights = [];
        QueryBias = [];
        DropoutProbability = 0;
    end

    methods

        function layer = SelfAttentionLayer(varargin)
            layer = assign(layer, varargin);
        end

        function factor = getLearnRateFactor(layer, name)
            factor = factorOf(layer, name, 3, 4);
        end

        function factor = getL2Factor(layer, name)
            factor = factorOf(layer, name, 1, 0);
        end

    end

    methods (Access = private)

        function factor = factorOf(layer, name, weights, bias) %#ok<INUSL>
            switch name
                case 'QueryWeights'
                    factor = weights;
                case 'QueryBias'
                    factor = bias;
                otherwise
                    error('%s is not a learnable parameter', name);
            end
        end

    end
end
