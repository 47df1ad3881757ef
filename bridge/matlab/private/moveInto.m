function moveInto(temporary, file)
    % MOVEINTO Give a finished temporary file its name, over an older file.

    [moved, reason] = movefile(temporary, file, 'f');
    if ~moved
        fail('usage', ['cannot write ', file], reason, 'close programs that hold the file, or write elsewhere');
    end
end
