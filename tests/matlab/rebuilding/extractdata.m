function data = extractdata(array)
    % EXTRACTDATA The numbers of a dlarray.

    data = array.Data;
end
