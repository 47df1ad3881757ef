function [trained, info] = trainnet(X, T, net, loss, options) %#ok<INUSL>
    % TRAINNET The same straight line, with the information of trainnet.

    [series, history] = trainNetwork(X, T, net.Layers, options);
    trained = dlnetwork(series.Layers);
    info.TrainingHistory = struct('Iteration', (1:options.MaxEpochs)', 'Loss', history.TrainingLoss', ...
                                  'LearnRate', history.BaseLearnRate');
    info.ValidationHistory = struct('Iteration', [0; options.MaxEpochs], 'Loss', repmat(history.ValidationLoss, 2, 1));
end
