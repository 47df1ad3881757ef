classdef TrainingOptionsSGDM

    properties
        Momentum = 0.9;
        InitialLearnRate = 0.003;
        Shuffle = 'every-epoch';
        ValidationData = Opaque();
        OutputFcn = @(info) false;
        LearnRateSchedule = {Schedule(), 'none'};
    end
end
