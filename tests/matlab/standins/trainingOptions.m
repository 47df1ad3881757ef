function options = trainingOptions(solver, varargin)
    % TRAININGOPTIONS A struct of the options that the stand-in trainer knows.

    options = struct('Solver', solver, 'InitialLearnRate', 0.01, 'L2Regularization', 1e-4, ...
                     'MaxEpochs', 30, 'GradientThreshold', Inf, 'GradientThresholdMethod', 'l2norm', ...
                     'LearnRateSchedule', 'none', 'LearnRateDropFactor', 0.1, 'LearnRateDropPeriod', 10, ...
                     'ValidationData', [], 'BatchNormalizationStatistics', 'population');
    for k = 1:2:numel(varargin)
        options.(varargin{k}) = varargin{k + 1};
    end
end
