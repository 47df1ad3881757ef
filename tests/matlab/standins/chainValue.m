function X = chainValue(layers, X, name)
    % CHAINVALUE What the layer of that name makes of X, in a chain of layers.

    for k = 1:numel(layers)
        layer = layers(k);
        if strcmp(layer.Name, strtok(name, '/')) && numel(layer.OutputNames) > 1
            error('%s has no single output', layer.Name);
        end
        X = forwardValue(layer, X);
        if strcmp(layer.Name, name)
            return
        end
    end
    error('no layer %s', name);
end
