classdef SeriesNetwork

    properties
        Layers
        InputNames = {};
        OutputNames = {};
    end

    methods

        function net = SeriesNetwork(layers)
            net.Layers = layers;
            net.InputNames = {layers(1).Name};
            net.OutputNames = {layers(numel(layers)).Name};
        end

        function Y = predict(net, X, varargin)
            Y = activations(net, X, net.OutputNames{1});
            if ~iscell(Y)
                Y = reshape(Y, [], size(Y, 4))'; % observations x responses
            end
        end

        function Y = activations(net, X, name, varargin)
            if iscell(X)
                Y = cellfun(@(x) activations(net, x, name), X, 'UniformOutput', false);
            else
                Y = chainValue(net.Layers, single(X), name);
            end
        end

    end
end
