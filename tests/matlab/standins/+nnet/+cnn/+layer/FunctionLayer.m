classdef FunctionLayer < LayerBase
    % Every kind of value that a property can hold.

    properties
        PredictFcn = @(X) 2 * X;
        Names = {'a', 'b'};
        Flag = true;
        Sparse = sparse([1, 0; 0, 2]);
        Labels = categorical({'x', 'y'}, {'x', 'y'});
        Settings = struct('Step', 3, 'Text', 'abc');
        Handle = Opaque();
        Mixed = {1, Opaque()};
    end

    properties (Dependent)
        Refusing
    end

    methods

        function layer = FunctionLayer(varargin)
            layer = assign(layer, varargin);
        end

        function value = get.Refusing(layer) %#ok<MANU,STOUT>
            error('not before training');
        end

    end
end
