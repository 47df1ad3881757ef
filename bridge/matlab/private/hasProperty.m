function found = hasProperty(object, name)
    % HASPROPERTY True where an object has a public property of that name.

    found = any(strcmp(properties(object), name));
end
