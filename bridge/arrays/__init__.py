"""Arrays that are read when asked for, their axes, and the values of MATLAB as Python's."""
