function record = measured(value, format, sampling)
    % MEASURED Size, statistics and samples of an array, enough to check it by.
    %
    %   RECORD = MEASURED(VALUE, FORMAT, SAMPLING) describes a numeric array, or
    %   a cell of arrays (one a sequence), whose elements then count one array
    %   after the other. FORMAT is the dlarray format, '' where unknown.
    %   SAMPLING has the fields Samples, Seed (see SAMPLEINDICES) and Full.

    arrays = value;
    if ~iscell(value)
        arrays = {value};
    end
    elements = cellfun(@(array) double(array(:)), arrays(:), 'UniformOutput', false);
    elements = cat(1, elements{:});
    record.Format = format;
    record.Size = sizesOf(arrays(:));
    [record.Min, record.Max, record.Mean, record.Std] = statistics(elements);
    record.Index = sampleIndices(numel(elements), sampling.Samples, sampling.Seed);
    record.Value = single(elements(record.Index));
    record.Full = [];
    if sampling.Full
        record.Full = value;
    end
end

function sizes = sizesOf(arrays)
    rank = max(cellfun(@ndims, arrays));
    sizes = ones(numel(arrays), rank);
    for k = 1:numel(arrays)
        sizes(k, 1:ndims(arrays{k})) = size(arrays{k});
    end
end

function [smallest, largest, average, deviation] = statistics(elements)
    if isempty(elements)
        elements = NaN;
    end
    smallest = min(elements);
    largest = max(elements);
    average = mean(elements);
    deviation = sqrt(mean((elements - average).^2));
end
