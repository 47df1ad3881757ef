"""The language MATLAB, as far as reading a script asks; it knows no layer."""
