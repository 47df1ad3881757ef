function [value, isPlain] = plainValue(value)
    % PLAINVALUE A value without MATLAB objects, so that any MAT reader knows it.
    %
    %   [VALUE, ISPLAIN] = PLAINVALUE(VALUE) keeps numeric, logical and char
    %   arrays. A string becomes a char row (an array of strings a cellstr), a
    %   categorical a cellstr, a function handle its source text, a table a
    %   struct of its columns, a dlarray or gpuArray its numbers. Cells and
    %   structs are converted in depth. Where anything else is left, ISPLAIN is
    %   false.

    isPlain = true;
    value = numbersOf(value);
    if isa(value, 'table')
        value = table2struct(value, 'ToScalar', true);
    end
    if isnumeric(value) || islogical(value)
        if issparse(value)
            value = full(value);
        end
    elseif isa(value, 'string') && isscalar(value)
        value = char(value);
    elseif isa(value, 'string') || isa(value, 'categorical')
        value = cellstr(value);
    elseif isa(value, 'function_handle')
        value = func2str(value);
    elseif iscell(value)
        for k = 1:numel(value)
            [value{k}, itemIsPlain] = plainValue(value{k});
            isPlain = isPlain && itemIsPlain;
        end
    elseif isstruct(value)
        [value, isPlain] = plainFields(value);
    else
        isPlain = ischar(value);
    end
end

function value = numbersOf(value)
    if isa(value, 'dlarray')
        value = extractdata(value);
    end
    if isa(value, 'gpuArray')
        value = gather(value);
    end
end

function [value, isPlain] = plainFields(value)
    isPlain = true;
    names = fieldnames(value);
    for k = 1:numel(value)
        for n = 1:numel(names)
            [value(k).(names{n}), fieldIsPlain] = plainValue(value(k).(names{n}));
            isPlain = isPlain && fieldIsPlain;
        end
    end
end
