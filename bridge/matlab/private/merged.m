function first = merged(first, second)
    % MERGED A struct with the fields of another one put after its own.

    names = fieldnames(second);
    for k = 1:numel(names)
        first.(names{k}) = second.(names{k});
    end
end
