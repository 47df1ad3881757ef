function folder = folderOf(file)
    % FOLDEROF The folder of a file to be written; it has to exist.

    folder = fileparts(file);
    if isempty(folder)
        folder = pwd;
    end
    if exist(folder, 'dir') ~= 7
        fail('usage', ['there is no folder ', folder], ['it was to take ', file], ...
             'make the folder first (mkdir)');
    end
end
