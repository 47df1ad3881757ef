function varargout = predict(net, varargin)
    % PREDICT The outputs of the scenario; it keeps what it was called with.

    global SCENARIO
    SCENARIO.Called = varargin;
    varargout = cellfun(@(value) formatted(net, value), SCENARIO.Outputs(1:nargout), 'UniformOutput', false);
end

function value = formatted(net, value)
    if strcmp(net.Made, 'dlnetwork')
        value = dlarray(value, '');
    end
end
