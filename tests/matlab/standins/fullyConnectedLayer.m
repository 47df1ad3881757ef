function layer = fullyConnectedLayer(outputSize, varargin)
    layer = nnet.cnn.layer.FullyConnectedLayer('OutputSize', outputSize, varargin{:});
end
