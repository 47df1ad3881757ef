function state = rng(seed)
    % RNG Octave's own generator; its numbers are not MATLAB's.

    state = rand('twister'); %#ok<RAND>
    if nargin > 0
        rand('twister', seed); %#ok<RAND>
    end
end
