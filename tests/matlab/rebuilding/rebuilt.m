function rebuilt(file, scenario, target)
    % REBUILT Rebuild FILE and save what was made, or the error, into TARGET.
    %
    %   SCENARIO has the fields InputNames and OutputNames of the network ({}: it
    %   names none), Outputs that predict returns ([]: those of the file, each
    %   with Added added) and Arguments of bridgeRebuild.

    global SCENARIO
    SCENARIO = scenario;
    if isempty(SCENARIO.Outputs)
        content = load(file);
        SCENARIO.Outputs = cellfun(@(output) output.Value + SCENARIO.Added, content.bridge.TestOutput, 'UniformOutput', false);
    end
    result = struct('Error', '', 'Warning', '', 'Net', [], 'Classes', {{}}, 'Called', {{}});
    lastwarn('');
    try
        [result.Net, result.Classes] = bridgeRebuild(file, scenario.Arguments{:});
    catch reason
        result.Error = [reason.identifier, char(10), reason.message];
    end
    [~, result.Warning] = lastwarn();
    if isfield(SCENARIO, 'Called')
        result.Called = SCENARIO.Called;
    end
    save(target, '-struct', 'result', '-v7');
end
