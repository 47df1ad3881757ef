function bridgeData(imdsTrain, imdsVal, file)
    % BRIDGEDATA Write down which image is in which split, and in which order.
    %
    %   BRIDGEDATA(IMDSTRAIN, IMDSVAL, FILE) writes a CSV file with a line for
    %   each image of the two image datastores: path, label, split ('train' or
    %   'validation') and position (1, 2, ... within the split). The random
    %   choice of splitEachLabel and the order of a shuffled datastore cannot be
    %   computed again outside MATLAB; from this file they are read back. IMDSVAL
    %   may be []. FILE is UTF-8, with the header path,label,split,position.
    %
    %   Example:
    %       [imdsTrain, imdsVal] = splitEachLabel(imds, 0.7, 'randomized');
    %       bridgeData(imdsTrain, imdsVal, 'data.csv')
    %
    %   See also BRIDGEEXPORT, BRIDGEREFERENCE.

    file = char(file);
    temporary = [tempname(folderOf(file)), '.csv'];
    stream = fopen(temporary, 'w', 'n', 'UTF-8');
    if stream < 0
        fail('usage', ['cannot write ', file], ['no file can be opened in ', folderOf(file)], 'write elsewhere, or ask for permission');
    end
    closing = onCleanup(@() fclose(stream));
    fprintf(stream, 'path,label,split,position\n');
    writeSplit(stream, imdsTrain, 'train');
    writeSplit(stream, imdsVal, 'validation');
    clear closing; % closes the stream, before the file is moved
    moveInto(temporary, file);
end

function writeSplit(stream, imds, split)
    if isempty(imds)
        return
    end
    files = cellstr(imds.Files);
    labels = labelTexts(imds.Labels, numel(files));
    for k = 1:numel(files)
        fprintf(stream, '%s,%s,%s,%d\n', quoted(files{k}), quoted(labels{k}), split, k);
    end
end

function labels = labelTexts(labels, count)
    if isempty(labels)
        labels = repmat({''}, count, 1);
    elseif isnumeric(labels) || islogical(labels)
        labels = arrayfun(@(label) sprintf('%.17g', label), labels, 'UniformOutput', false);
    else
        labels = cellstr(labels);
    end
end

function text = quoted(text)
    text = ['"', strrep(text, '"', '""'), '"'];
end
