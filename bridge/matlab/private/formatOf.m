function format = formatOf(value)
    % FORMATOF The format of a dlarray ('SSCB'), '' of anything else.

    format = '';
    if isa(value, 'dlarray')
        format = dims(value);
    end
end
