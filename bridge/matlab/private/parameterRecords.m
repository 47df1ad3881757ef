function [learnables, state] = parameterRecords(layers, sampling)
    % PARAMETERRECORDS Records of all learnables and of all state of a network.
    %
    %   [LEARNABLES, STATE] = PARAMETERRECORDS(LAYERS, SAMPLING) takes the cell
    %   of layers of NETWORKGRAPH and returns N x 1 cells of records (see
    %   MEASURED) with the further fields Layer and Parameter.

    learnables = cell(0, 1);
    state = cell(0, 1);
    for k = 1:numel(layers)
        parts = layerStruct(layers{k});
        values = structfun(@(learnable) learnable.Value, parts.Learnables, 'UniformOutput', false);
        learnables = [learnables; recordsOf(parts.Name, values, sampling)]; %#ok<AGROW>
        state = [state; recordsOf(parts.Name, parts.State, sampling)]; %#ok<AGROW>
    end
end

function records = recordsOf(layer, values, sampling)
    names = fieldnames(values);
    records = cell(numel(names), 1);
    for k = 1:numel(names)
        record = struct('Layer', layer, 'Parameter', names{k});
        records{k} = merged(record, measured(values.(names{k}), '', sampling));
    end
end
