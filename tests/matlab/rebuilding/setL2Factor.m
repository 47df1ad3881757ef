function layer = setL2Factor(layer, parameter, factor)
    % SETL2FACTOR A layer that remembers the call.

    layer.Factors(end + 1, :) = {'setL2Factor', parameter, factor};
end
