classdef Schedule
    % SCHEDULE A learn-rate schedule as an object.

    properties
        DropFactor = 0.1;
        FrequencyUnit = 'epoch';
    end
end
