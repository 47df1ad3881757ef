function [parameter, average, squared] = adamupdate(parameter, gradient, average, squared, iteration)
    % ADAMUPDATE Adam with epsilon beside the root of the uncorrected average.

    if isempty(average)
        average = 0;
        squared = 0;
    end
    average = 0.9 * average + 0.1 * gradient;
    squared = 0.999 * squared + 0.001 * gradient^2;
    rate = 0.001 * sqrt(1 - 0.999^iteration) / (1 - 0.9^iteration);
    parameter = parameter - rate * average / (sqrt(squared) + 1e-8);
end
