function parts = layerStruct(layer)
    % LAYERSTRUCT One layer as a plain struct, by its documented properties.
    %
    %   PARTS = LAYERSTRUCT(LAYER) has the fields Name, Class, Properties,
    %   Learnables, State, InputNames, OutputNames and Skipped. The arrays of
    %   Learnables and State are not repeated in Properties.

    parts.Name = char(layer.Name);
    parts.Class = class(layer);
    learnables = learnablesOf(layer);
    state = stateOf(layer);
    [parts.Properties, parts.Skipped] = publicProperties(layer, [fieldnames(learnables); fieldnames(state)]);
    parts.Learnables = learnables;
    parts.State = state;
    parts.InputNames = portNames(layer, 'InputNames');
    parts.OutputNames = portNames(layer, 'OutputNames');
end

function names = portNames(layer, which)
    names = {};
    if hasProperty(layer, which)
        names = nameRow(layer.(which));
    end
end

function state = stateOf(layer)
    names = intersect({'TrainedMean', 'TrainedVariance', 'HiddenState', 'CellState', ...
                       'Mean', 'StandardDeviation', 'Min', 'Max'}, properties(layer));
    state = struct();
    for k = 1:numel(names)
        value = plainValue(layer.(names{k}));
        if isnumeric(value) && ~isempty(value)
            state.(names{k}) = value;
        end
    end
end

function learnables = learnablesOf(layer)
    learnables = learnablesByProperties(layer);
    if isempty(fieldnames(learnables))
        learnables = learnablesByQuestion(layer);
    end
end

function learnables = learnablesByProperties(layer)
    % WeightLearnRateFactor belongs to Weights, BiasLearnRateFactor to Bias.
    learnables = struct();
    names = properties(layer);
    factors = names(endsWith(names, 'LearnRateFactor'));
    for k = 1:numel(factors)
        stem = factors{k}(1:end - numel('LearnRateFactor'));
        name = names(ismember(names, {stem, [stem, 's']}));
        if ~isempty(stem) && ~isempty(name)
            learnables.(name{1}) = learnable(layer, name{1}, layer.(factors{k}), layer.([stem, 'L2Factor']));
        end
    end
end

function learnables = learnablesByQuestion(layer)
    % Attention and custom layers have no factor properties: whatever property
    % getLearnRateFactor answers for is a learnable.
    learnables = struct();
    names = properties(layer);
    for k = 1:numel(names)
        try
            isCandidate = isfloat(plainValue(layer.(names{k})));
            if isCandidate
                rate = getLearnRateFactor(layer, names{k});
                learnables.(names{k}) = learnable(layer, names{k}, rate, getL2Factor(layer, names{k}));
            end
        catch % not a learnable
        end
    end
end

function parts = learnable(layer, name, rate, l2)
    parts.Value = plainValue(layer.(name));
    parts.LearnRateFactor = double(rate);
    parts.L2Factor = double(l2);
end
