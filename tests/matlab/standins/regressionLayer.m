function layer = regressionLayer(varargin)
    layer = nnet.cnn.layer.RegressionOutputLayer(varargin{:});
end
