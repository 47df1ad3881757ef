classdef yolov2ObjectDetector
    % YOLOV2OBJECTDETECTOR Finds two boxes that overlap, in every image.

    properties
        Network
        ClassNames = {'car'; 'bus'};
    end

    methods

        function detector = yolov2ObjectDetector(net)
            detector.Network = net;
        end

        function [boxes, scores, labels] = detect(detector, image, varargin) %#ok<INUSL>
            given = struct(varargin{:});
            boxes = [2, 3, size(image, 2), 4; 3, 3, size(image, 2), 4];
            scores = single([0.9; 0.6]);
            texts = {'car'; 'bus'};
            kept = scores >= given.Threshold;
            if given.SelectStrongest
                kept(2) = false;
            end
            boxes = boxes(kept, :);
            scores = scores(kept);
            labels = categorical(texts(kept), detector.ClassNames);
        end

    end
end
