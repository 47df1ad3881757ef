classdef MaxPooling2DLayer < LayerBase

    properties
        PoolSize = [2, 2];
        HasUnpoolingOutputs = true;
    end

    methods

        function layer = MaxPooling2DLayer(varargin)
            layer.OutputNames = {'out', 'indices', 'size'};
            layer = assign(layer, varargin);
        end

    end
end
