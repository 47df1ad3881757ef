classdef categorical

    properties (Access = private)
        Texts
        Names
    end

    methods

        function array = categorical(texts, names)
            if nargin < 2
                names = unique(texts);
            end
            array.Texts = texts;
            array.Names = names;
        end

        function texts = cellstr(array)
            texts = array.Texts;
        end

        function names = categories(array)
            names = array.Names(:);
        end

        function array = subsref(array, s) %#ok<INUSD>
            array.Texts = array.Texts(:); % only array(:) is asked for
        end

    end
end
