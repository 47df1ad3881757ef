classdef dlnetwork
    % DLNETWORK A chain of layers; EXTRA learnables that no layer shows.

    properties
        Layers
        Connections
        Learnables
        InputNames = {};
        OutputNames = {};
    end

    methods

        function net = dlnetwork(layers, extra)
            if isa(layers, 'nnet.cnn.LayerGraph')
                layers = layers.Layers;
            end
            names = cell(numel(layers), 1);
            rows = cell(0, 3);
            for k = 1:numel(layers)
                layer = layers(k);
                names{k} = layer.Name;
                if isa(layer, 'nnet.cnn.layer.FullyConnectedLayer')
                    rows(end + 1, :) = {layer.Name, 'Weights', dlarray(layer.Weights, '')}; %#ok<AGROW>
                    rows(end + 1, :) = {layer.Name, 'Bias', dlarray(layer.Bias, '')}; %#ok<AGROW>
                end
            end
            if nargin > 1
                rows = [rows; extra];
            end
            net.Layers = layers;
            net.Connections.Source = names(1:end - 1);
            net.Connections.Destination = names(2:end);
            net.Learnables = struct('Layer', {rows(:, 1)}, 'Parameter', {rows(:, 2)}, 'Value', {rows(:, 3)});
            net.InputNames = names(1);
            net.OutputNames = names(end);
        end

        function Y = predict(net, X, varargin)
            name = net.OutputNames{1};
            if ~isempty(varargin)
                name = varargin{2};
            end
            Y = dlarray(chainValue(net.Layers, extractdata(X), name), dims(X));
        end

        function factor = getLearnRateFactor(net, layer, parameter) %#ok<INUSD>
            factor = 1;
        end

        function factor = getL2Factor(net, layer, parameter) %#ok<INUSL>
            factor = double(strcmp(parameter, 'Weights'));
        end

        function Y = forward(net, X)
            Y = predict(net, X);
        end

    end
end
