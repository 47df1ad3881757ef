function [parameter, velocity] = sgdmupdate(parameter, gradient, velocity, rate, momentum)
    % SGDMUPDATE The velocity holds the learn rate.

    if isempty(velocity)
        velocity = 0;
    end
    velocity = momentum * velocity - rate * gradient;
    parameter = parameter + velocity;
end
