function graph = layerGraph(layers)
    % LAYERGRAPH A graph of a layer array, of a chain only.

    graph = nnet.cnn.LayerGraph(layers, struct('Source', {{}}, 'Destination', {{}}));
end
