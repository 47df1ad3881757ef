function scenarios(out)
    % SCENARIOS Runs the MATLAB functions on stand-in objects; files go to OUT.

    exports(out);
    references(out);
    probe(out);
    datasets(out);
    writeIndices(out);
    refusals(out);
end

function exports(out)
    options = nnet.cnn.TrainingOptionsSGDM();
    info = struct('TrainingLoss', [2, 1], 'ValidationLoss', [NaN, 3], 'Monitor', Opaque());
    warning('off', 'bridge:skipped');
    bridgeExport(SeriesNetwork(zoo()), fullfile(out, 'series.onnx'), 'options', options, 'Info', info);
    bridgeExport(dagNetwork(), fullfile(out, 'dag.v2'));
    bridgeExport(dlnetwork(line(false)), fullfile(out, 'dl.bridge.mat'), 'Classes', {'no', 'yes', 'maybe'});
    untrained = [nnet.cnn.layer.Convolution2DLayer('Name', 'conv', 'BiasLearnRateFactor', 2)
                 nnet.cnn.layer.ClassificationOutputLayer('Name', 'out')];
    bridgeExport(untrained, fullfile(out, 'layers'));
    graph = dagNetwork();
    bridgeExport(nnet.cnn.LayerGraph(graph.Layers, graph.Connections), fullfile(out, 'graph'));
end

function layers = zoo()
    layers = [nnet.cnn.layer.ImageInputLayer('Name', 'data', 'InputSize', [4, 6, 2], ...
                                             'Mean', single(cat(3, 1.5, 2.5)))
              nnet.cnn.layer.Convolution2DLayer('Name', 'conv-1', 'Weights', reshape(single(1:54), 3, 3, 2, 3), ...
                                                'Bias', reshape(single([7, 8, 9]), 1, 1, 3), ...
                                                'WeightLearnRateFactor', 10, 'BiasLearnRateFactor', 20, 'BiasL2Factor', 0.5)
              nnet.cnn.layer.BatchNormalizationLayer('Name', 'bn', 'Scale', single(cat(3, 1, 2, 3)), ...
                                                     'Offset', single(cat(3, 4, 5, 6)), ...
                                                     'TrainedMean', single(cat(3, 0.1, 0.2, 0.3)), ...
                                                     'TrainedVariance', single(cat(3, 1, 1, 2)), 'ScaleLearnRateFactor', 0)
              nnet.cnn.layer.LSTMLayer('Name', 'lstm', 'InputWeights', single(ones(8, 3)), ...
                                       'RecurrentWeights', single(ones(8, 2)), 'Bias', single((1:8)'), ...
                                       'InputWeightsLearnRateFactor', [1, 2, 3, 4], 'HiddenState', single([5; 6]))
              nnet.cnn.layer.SelfAttentionLayer('Name', 'attention', 'QueryWeights', single([1, 2; 3, 4]), ...
                                                'QueryBias', single([5; 6]))
              nnet.cnn.layer.FunctionLayer('Name', 'twice')
              nnet.cnn.layer.ClassificationOutputLayer('Name', 'output', ...
                                                       'Classes', categorical({'cat', 'dog'}, {'cat', 'dog'}))];
end

function net = dagNetwork()
    layers = [nnet.cnn.layer.ImageInputLayer('Name', 'data')
              nnet.cnn.layer.MaxPooling2DLayer('Name', 'pool')
              nnet.cnn.layer.MaxPooling2DLayer('Name', 'unpool', 'InputNames', {'in', 'indices', 'size'}, ...
                                               'OutputNames', {'out'})];
    connections.Source = {'data'; 'pool/out'; 'pool/indices'; 'pool/size'};
    connections.Destination = {'pool'; 'unpool/in'; 'unpool/indices'; 'unpool/size'};
    net = DAGNetwork(layers, connections);
end

function layers = line(withOutput)
    layers = [nnet.cnn.layer.ImageInputLayer('Name', 'input', 'InputSize', [1, 1, 1], 'Normalization', 'none')
              nnet.cnn.layer.FullyConnectedLayer('Name', 'fc', 'Weights', single(3), 'Bias', single(-1))];
    if withOutput
        layers = [layers; nnet.cnn.layer.RegressionOutputLayer('Name', 'output')];
    end
end

function references(out)
    X = reshape(single(sin(1:5000)), 1, 1, 1, 5000);
    bridgeReference(SeriesNetwork(line(true)), X, fullfile(out, 'reference.mat'), 'Seed', 7, 'Classes', {'a', 'b'});
    bridgeReference(SeriesNetwork(line(true)), {[1, 2, 3]; [4, 5]}, fullfile(out, 'sequences.mat'), 'Full', true);
    pooled = [nnet.cnn.layer.ImageInputLayer('Name', 'input'); nnet.cnn.layer.MaxPooling2DLayer('Name', 'pool')
              nnet.cnn.layer.RegressionOutputLayer('Name', 'output')];
    bridgeReference(SeriesNetwork(pooled), X(:, :, :, 1:3), fullfile(out, 'ports.mat'));

    x = [1, 2, -1];
    solver = {'sgdm', 'InitialLearnRate', 0.1, 'L2Regularization', 0, 'Momentum', 0};
    bridgeReference(SeriesNetwork(line(true)), reshape(x, 1, 1, 1, 3), fullfile(out, 'trained.mat'), ...
                    'Format', 'SSCB', 'Targets', zeros(1, 1, 1, 3), 'Loss', @mse, 'Gradients', true, ...
                    'Steps', 2, 'TrainingOptions', solver);
    bridgeReference(dlnetwork(line(false)), x, fullfile(out, 'dltrained.mat'), 'Format', 'CB', ...
                    'Targets', [0; 0; 0], 'Loss', 'mse', 'Gradients', true, 'Steps', 1, 'TrainingOptions', solver);

    image = uint8([0, 51; 102, 255]);
    bridgeReference(yolov2ObjectDetector(SeriesNetwork(line(true))), {image; image(:, 1)}, fullfile(out, 'found.mat'), ...
                    'Threshold', 0.25);
    bridgeReference(yolov2ObjectDetector(dlnetwork(line(false))), image, fullfile(out, 'dlfound.mat'));
end

function probe(out)
    % Each stub lets an experiment run to its end; cyclicalLearnRate is left out.
    folder = fullfile(out, 'stubs');
    mkdir(folder);
    layers = {'featureInputLayer', 'sequenceInputLayer', 'softmaxLayer', 'classificationLayer', 'gruLayer', ...
              'geluLayer', 'eluLayer', 'leakyReluLayer', 'preluLayer', 'swishLayer', 'layerNormalizationLayer', ...
              'instanceNormalizationLayer', 'groupNormalizationLayer', 'crossChannelNormalizationLayer', ...
              'averagePooling2dLayer'};
    schedules = {'piecewiseLearnRate', 'exponentialLearnRate', 'polynomialLearnRate', 'cosineLearnRate', 'warmupLearnRate'};
    cellfun(@(name) stub(folder, name, 'varargin', 'nnet.cnn.layer.FunctionLayer()'), layers);
    cellfun(@(name) stub(folder, name, 'varargin', 'Schedule()'), schedules);
    stub(folder, 'batchNormalizationLayer', 'varargin', 'nnet.cnn.layer.BatchNormalizationLayer(varargin{:})');
    stub(folder, 'augmentedImageDatastore', 'outputSize, X', 'X(1:min(end, outputSize(1)), 1:min(end, outputSize(2)))');
    stub(folder, 'read', 'X', 'struct(''input'', {{X}})');
    stub(folder, 'imageDataAugmenter', 'varargin', 'varargin');
    stub(folder, 'augment', 'ranges, X', 'X + ranges{2}(2)');
    stub(folder, 'imagePretrainedNetwork', 'varargin', ...
         'dlnetwork([imageInputLayer(1); fullyConnectedLayer(5, ''Name'', ''head'')])');
    addpath(folder);
    bridgeProbe(fullfile(out, 'probe.mat'));
    rmpath(folder);
end

function stub(folder, name, inputs, value)
    stream = fopen(fullfile(folder, [name, '.m']), 'w');
    fprintf(stream, 'function value = %s(%s)\n    value = %s;\nend\n', name, inputs, value);
    fclose(stream);
end

function datasets(out)
    train = struct('Files', {{'C:\pictures\a, "1".png'; '/data/ü.png'}}, ...
                   'Labels', categorical({'cat'; 'dog'}, {'cat'; 'dog'}));
    validation = struct('Files', {{'/data/c.png'}}, 'Labels', 0.5);
    bridgeData(train, validation, fullfile(out, 'data.csv'));
    bridgeData(struct('Files', {{'/data/a.png'}}, 'Labels', []), [], fullfile(out, 'unlabelled.csv'));
end

function writeIndices(out)
    % Functions of a private folder can be called from inside it alone.
    folder = cd(fullfile(fileparts(which('bridgeExport')), 'private'));
    back = onCleanup(@() cd(folder));
    counts = [0, 1, 4000, 4001, 1e6, 2^32 - 1];
    indices = cell(numel(counts), 2);
    for k = 1:numel(counts)
        indices(k, :) = {sampleIndices(counts(k), 4000, 1), sampleIndices(counts(k), 50, 2^32 - 1)};
    end
    versions = {matVersion(2^31 - 1), matVersion(2^31)};
    save(fullfile(out, 'indices.mat'), 'counts', 'indices', 'versions', '-v7');
end

function refusals(out)
    net = SeriesNetwork(line(true));
    hidden = dlnetwork(line(false), {'inner', 'Network/fc/Weights', 1});
    nested = SeriesNetwork([line(true); nnet.cnn.layer.NetworkLayer('Name', 'block', 'Network', hidden)]);
    unnamed = [nnet.cnn.layer.ImageInputLayer(); nnet.cnn.layer.RegressionOutputLayer()];
    dropping = SeriesNetwork([line(true); nnet.cnn.layer.DropoutLayer('Name', 'drop')]);
    x = ones(1, 1, 1, 2);
    new = @(name) fullfile(out, 'refused', name);
    calls = {'unknownArgument', @() bridgeExport(net, new('a'), 'Class', {'x'})
             'missingValue', @() bridgeExport(net, new('a'), 'Classes')
             'otherMat', @() bridgeExport(net, new('a.mat'))
             'noFolder', @() bridgeExport(net, fullfile(out, 'nowhere', 'a'))
             'notANetwork', @() bridgeExport(Opaque(), new('a'))
             'nested', @() bridgeExport(nested, new('a'))
             'hiddenLearnable', @() bridgeExport(hidden, new('a'))
             'unnamed', @() bridgeExport(unnamed, new('a'))
             'layersDoNotRun', @() bridgeReference(line(true), x, new('r.mat'))
             'noFormat', @() bridgeReference(dlnetwork(line(false)), x, new('r.mat'))
             'datastore', @() bridgeReference(net, Opaque(), new('r.mat'))
             'noTargets', @() bridgeReference(net, x, new('r.mat'), 'Steps', 1)
             'noLoss', @() bridgeReference(net, x, new('r.mat'), 'Gradients', true, 'Targets', x)
             'noSolver', @() bridgeReference(net, x, new('r.mat'), 'Steps', 1, 'Targets', x)
             'dropout', @() bridgeReference(dropping, x, new('r.mat'), 'Steps', 1, 'Targets', x, ...
                                            'TrainingOptions', {'sgdm'})};
    messages = struct();
    for k = 1:size(calls, 1)
        try
            calls{k, 2}();
            messages.(calls{k, 1}) = '';
        catch reason
            messages.(calls{k, 1}) = [reason.identifier, char(10), reason.message];
        end
    end
    save(fullfile(out, 'refusals.mat'), '-struct', 'messages', '-v7');
end
