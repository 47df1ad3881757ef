function fail(kind, what, cause, hint)
    % FAIL Stop with a message in three parts: the error, its cause, what to do.
    %
    %   FAIL(KIND, WHAT, CAUSE, HINT) throws an error whose identifier is
    %   'bridge:KIND'; KIND is 'usage', 'unreadable' or 'unsupported'.

    error(['bridge:', kind], 'error: %s\ncause: %s\nhint:  %s', what, cause, hint);
end
