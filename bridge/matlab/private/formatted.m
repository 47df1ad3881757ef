function inputs = formatted(inputs, format)
    % FORMATTED The inputs of a network as dlarrays with labelled dimensions.
    %
    %   INPUTS = FORMATTED(INPUTS, FORMAT) labels every numeric array of the cell
    %   INPUTS with FORMAT, in single precision; dlarrays stay as they are.

    for k = 1:numel(inputs)
        if ~isa(inputs{k}, 'dlarray')
            if isempty(format) || ~isnumeric(inputs{k})
                fail('usage', 'the dimensions of X have no labels', ...
                     'a dlnetwork and gradients take formatted dlarrays', ...
                     'pass an array and ''Format'', ''SSCB'' (images), ''CB'' (features) or ''CBT'' (sequences)');
            end
            inputs{k} = dlarray(single(inputs{k}), char(format));
        end
    end
end
