function options = nameValues(defaults, pairs)
    % NAMEVALUES Name-value arguments over a struct of defaults.
    %
    %   OPTIONS = NAMEVALUES(DEFAULTS, PAIRS) returns DEFAULTS with the values of
    %   the cell PAIRS put in; names are compared without regard to case.

    options = defaults;
    names = fieldnames(defaults);
    for k = 1:2:numel(pairs)
        known = names(strcmpi(names, pairs{k}));
        if isempty(known) || k == numel(pairs)
            fail('usage', sprintf('argument ''%s'' is unknown or has no value', textOf(pairs{k})), ...
                 'name-value arguments come in pairs of a known name and its value', ...
                 ['known names: ', strjoin(names', ', ')]);
        end
        options.(known{1}) = pairs{k + 1};
    end
end

function text = textOf(value)
    if ischar(value) || isa(value, 'string')
        text = char(value);
    else
        text = ['<', class(value), '>'];
    end
end
