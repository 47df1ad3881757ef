function parts = hardware(executionEnvironment)
    % HARDWARE The machine that computes: Architecture, Threads, Environment, GPU.
    %
    %   PARTS = HARDWARE('cpu') or HARDWARE('gpu').

    parts.Architecture = computer('arch');
    parts.Threads = maxNumCompThreads;
    parts.Environment = executionEnvironment;
    parts.GPU = '';
    if strcmp(executionEnvironment, 'gpu')
        device = gpuDevice;
        parts.GPU = char(device.Name);
    end
end
