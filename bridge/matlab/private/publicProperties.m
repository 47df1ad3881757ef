function [values, skipped] = publicProperties(object, leftOut)
    % PUBLICPROPERTIES The public properties of an object, as a plain struct.
    %
    %   [VALUES, SKIPPED] = PUBLICPROPERTIES(OBJECT, LEFTOUT) reads every public
    %   property but those named in LEFTOUT. SKIPPED names (1 x n cellstr) the
    %   properties that cannot be read or hold an object.

    values = struct();
    skipped = {};
    names = setdiff(properties(object), leftOut);
    for k = 1:numel(names)
        name = names{k};
        try
            [value, isPlain] = plainValue(object.(name));
        catch % a dependent property may refuse to be read
            isPlain = false;
        end
        if isPlain
            values.(name) = value;
        else
            skipped{1, end + 1} = name; %#ok<AGROW>
        end
    end
end
