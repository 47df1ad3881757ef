function names = nameRow(value)
    % NAMEROW Names (char, string, categorical or cellstr) as a 1 x n cellstr.

    names = reshape(cellstr(value), 1, []);
end
