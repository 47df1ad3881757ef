function net = withNames(net)
    % WITHNAMES A network that names its inputs and outputs as the scenario says, or not at all.

    global SCENARIO
    if ~isempty(SCENARIO.InputNames)
        net.InputNames = SCENARIO.InputNames;
        net.OutputNames = SCENARIO.OutputNames;
    end
end
