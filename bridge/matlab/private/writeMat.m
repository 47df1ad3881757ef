function writeMat(file, name, value)
    % WRITEMAT Save one variable, under a temporary name first.
    %
    %   WRITEMAT(FILE, NAME, VALUE) leaves either the whole new file or the old
    %   one. Version 7, uncompressed where the release can, loads fastest.

    content.(name) = value;
    details = whos('value');
    temporary = [tempname(folderOf(file)), '.mat'];
    removal = onCleanup(@() removeFile(temporary));
    saveUncompressed(temporary, content, matVersion(details.bytes));
    moveInto(temporary, file);
end

function saveUncompressed(file, content, version) %#ok<INUSL>
    try
        save(file, '-struct', 'content', version, '-nocompression');
    catch % older releases allow -nocompression with -v7.3 alone
        save(file, '-struct', 'content', version);
    end
end

function removeFile(file)
    if exist(file, 'file')
        delete(file);
    end
end
