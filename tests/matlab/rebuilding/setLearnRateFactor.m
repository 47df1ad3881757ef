function layer = setLearnRateFactor(layer, parameter, factor)
    % SETLEARNRATEFACTOR A layer that remembers the call.

    layer.Factors(end + 1, :) = {'setLearnRateFactor', parameter, factor};
end
