function array = dlarray(data, format)
    % DLARRAY A record of numbers and their format.

    array.Data = data;
    array.Format = format;
end
