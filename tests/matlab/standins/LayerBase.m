classdef LayerBase
    % LAYERBASE What the layers of these stand-ins share; identity forward.

    properties
        Name = '';
        InputNames = {'in'};
        OutputNames = {'out'};
    end

    methods

        function array = vertcat(varargin)
            array = nnet.cnn.layer.Layer(varargin);
        end

        function layer = assign(layer, pairs)
            for k = 1:2:numel(pairs)
                layer.(pairs{k}) = pairs{k + 1};
            end
        end

        function Y = forwardValue(layer, X) %#ok<INUSL>
            Y = X;
        end

    end
end
