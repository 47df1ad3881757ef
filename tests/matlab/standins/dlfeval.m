function varargout = dlfeval(fun, varargin)
    % DLFEVAL Calls a function, without tracing.

    [varargout{1:nargout}] = fun(varargin{:});
end
