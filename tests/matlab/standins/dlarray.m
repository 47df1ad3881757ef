classdef dlarray

    properties (Access = private)
        Data
        Format
    end

    methods

        function array = dlarray(data, format)
            array.Data = data;
            array.Format = format;
        end

        function data = extractdata(array)
            data = array.Data;
        end

        function format = dims(array)
            format = array.Format;
        end

        function varargout = size(array, varargin)
            [varargout{1:nargout}] = size(array.Data, varargin{:});
        end

    end
end
