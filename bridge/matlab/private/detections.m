function found = detections(detector, images, given)
    % DETECTIONS What a detector finds in images, and what it comes from step by step.
    %
    %   FOUND = DETECTIONS(DETECTOR, IMAGES, GIVEN) has a row of each cell for
    %   each image: the image, what imresize makes of it for the network, what
    %   the network's last layer puts out for that in the range 0 to 1, the boxes,
    %   scores and labels of detect, and those with SelectStrongest false.
    %   GIVEN has Threshold and what activationOf takes.

    if ~iscell(images)
        images = {images};
    end
    graph = networkGraph(detector.Network);
    count = numel(images);
    found = struct('Class', class(detector), 'Threshold', given.Threshold, 'Images', {reshape(images, [], 1)});
    [found.Resized, found.Outputs, found.Boxes, found.Scores, found.Labels] = deal(cell(count, 1));
    [found.AllBoxes, found.AllScores, found.AllLabels] = deal(cell(count, 1));
    for k = 1:count
        [found.Resized{k}, found.Outputs{k}] = outputFor(detector.Network, graph, images{k}, given);
        [found.Boxes{k}, found.Scores{k}, found.Labels{k}] = detected(detector, images{k}, given, true);
        [found.AllBoxes{k}, found.AllScores{k}, found.AllLabels{k}] = detected(detector, images{k}, given, false);
    end
end

function [boxes, scores, labels] = detected(detector, image, given, strongest)
    [boxes, scores, labels] = detect(detector, image, 'Threshold', given.Threshold, 'SelectStrongest', strongest);
    labels = reshape(cellstr(labels), [], 1);
end

function [resized, output] = outputFor(net, graph, image, given)
    inputSize = graph.Layers{1}.InputSize;
    resized = imresize(image, inputSize(1:2));
    inputs = {scaled(resized)};
    if strcmp(graph.Kind, 'dlnetwork')
        inputs = formatted(inputs, 'SSCB');
    end
    output = plainValue(activationOf(net, inputs, lastLayer(graph), graph, given));
end

function X = scaled(image)
    X = single(image);
    if isinteger(image)
        X = X / single(intmax(class(image)));
    end
end

function name = lastLayer(graph)
    name = graph.OutputNames{1};
    if ~strcmp(graph.Kind, 'dlnetwork') % an output layer puts nothing out
        name = graph.Connections{strcmp(graph.Connections(:, 2), name), 1};
    end
end
