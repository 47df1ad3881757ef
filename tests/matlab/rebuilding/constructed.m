function layer = constructed(constructor, arguments)
    % CONSTRUCTED What a layer was made with; the makers of single layers call it.

    layer.Constructor = constructor;
    layer.Arguments = arguments;
    layer.Factors = cell(0, 3);
end
