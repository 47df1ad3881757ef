classdef Layer
    % LAYER A layer array: Octave has no arrays of classdef objects.

    properties (Access = private)
        Items = {};
    end

    methods

        function array = Layer(parts)
            for k = 1:numel(parts)
                if isa(parts{k}, 'nnet.cnn.layer.Layer')
                    array.Items = [array.Items, parts{k}.Items];
                else
                    array.Items{end + 1} = parts{k};
                end
            end
        end

        function array = vertcat(varargin)
            array = nnet.cnn.layer.Layer(varargin);
        end

        function count = numel(array, varargin)
            count = numel(array.Items);
        end

        function value = subsref(array, s)
            value = array.Items{s(1).subs{1}};
            for k = 2:numel(s)
                value = value.(s(k).subs);
            end
        end

        function array = replaced(array, index, layer)
            array.Items{index} = layer;
        end

    end
end
