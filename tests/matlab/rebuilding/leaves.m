function leaves(file, target)
    % LEAVES Path, class, size and value of everything in the variable of FILE, into TARGET.

    content = load(file);
    found = walk('bridge', content.bridge);
    paths = found(:, 1);
    classes = found(:, 2);
    sizes = found(:, 3);
    values = found(:, 4);
    save(target, 'paths', 'classes', 'sizes', 'values', '-v7');
end

function found = walk(path, value)
    found = {path, class(value), size(value), []};
    if isstruct(value)
        names = fieldnames(value);
        for k = 1:numel(names)
            found = [found; walk([path, '.', names{k}], value.(names{k}))]; %#ok<AGROW>
        end
    elseif iscell(value)
        for k = 1:numel(value)
            found = [found; walk(sprintf('%s{%d}', path, k), value{k})]; %#ok<AGROW>
        end
    else
        found{4} = value;
    end
end
