function layer = imageInputLayer(inputSize, varargin)
    layer = nnet.cnn.layer.ImageInputLayer('InputSize', inputSize, varargin{:});
end
