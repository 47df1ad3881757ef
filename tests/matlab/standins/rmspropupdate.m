function [parameter, squared] = rmspropupdate(parameter, gradient, squared)
    % RMSPROPUPDATE RMSProp with epsilon beside the root.

    if isempty(squared)
        squared = 0;
    end
    squared = 0.9 * squared + 0.1 * gradient^2;
    parameter = parameter - 0.001 * gradient / (sqrt(squared) + 1e-8);
end
