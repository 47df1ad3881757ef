classdef Opaque
    % OPAQUE An object that no plain value stands for (a datastore, say).
end
