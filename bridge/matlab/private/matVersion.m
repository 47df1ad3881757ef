function flag = matVersion(bytes)
    % MATVERSION The MAT version that holds a variable of so many bytes.
    %
    %   Version 7 ends at 2^31 bytes a variable; save only warns, and leaves the
    %   variable out, so the size is asked for beforehand.

    flag = '-v7';
    if bytes >= 2^31
        flag = '-v7.3';
    end
end
