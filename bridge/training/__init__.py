"""How a network is trained: options, solvers, schedules and losses with MATLAB's arithmetic."""
