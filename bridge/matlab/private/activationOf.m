function value = activationOf(net, inputs, source, graph, given)
    % ACTIVATIONOF What a layer of a network puts out; SOURCE is 'layer' or 'layer/port'.

    if strcmp(graph.Kind, 'dlnetwork')
        value = predict(net, inputs{:}, 'Outputs', source);
    else
        value = activations(net, inputs{:}, source, 'MiniBatchSize', given.MiniBatchSize, ...
                            'ExecutionEnvironment', char(given.ExecutionEnvironment));
    end
end
