function parts = environment(format)
    % ENVIRONMENT What a file of ours begins with: its format and its origin.
    %
    %   PARTS = ENVIRONMENT(FORMAT) has the fields Format, Release ('2024b') and
    %   Toolbox (the version of Deep Learning Toolbox, '' without it).

    parts.Format = format;
    parts.Release = version('-release');
    toolbox = ver('nnet');
    parts.Toolbox = '';
    if ~isempty(toolbox)
        parts.Toolbox = toolbox(1).Version;
    end
end
