function indices = sampleIndices(total, count, seed)
    % SAMPLEINDICES Linear indices spread over an array, the same in any language.
    %
    %   INDICES = SAMPLEINDICES(TOTAL, COUNT, SEED) returns a uint32 column of
    %   1-based linear indices in 1..TOTAL, in ascending order: all of them where
    %   TOTAL <= COUNT, otherwise one from each of COUNT equal stretches, so that
    %   no region goes unseen. With s(0) = SEED, in exact integers,
    %
    %       s(k)     = mod(1664525 * s(k-1) + 1013904223, 2^32)
    %       index(k) = floor((k - 1 + s(k) / 2^32) * TOTAL / COUNT) + 1
    %
    %   where the second line is in double precision, from left to right. Every
    %   product of the first stays below 2^53 and is exact in double too.

    if total >= 2^32
        fail('unsupported', sprintf('an array has %.0f elements', total), ...
             'indices of samples are 32 bit numbers', 'pass fewer observations');
    end
    if total <= count
        indices = uint32(1:total)';
        return
    end
    indices = zeros(count, 1, 'uint32');
    state = seed;
    for k = 1:count
        state = mod(1664525 * state + 1013904223, 2^32);
        indices(k) = floor((k - 1 + state / 2^32) * total / count) + 1;
    end
end
