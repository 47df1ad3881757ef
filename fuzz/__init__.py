"""Changed inputs, each read or refused in three parts (`python -m fuzz`), and deliberate mistakes in bridge that the
tests have to find (`python -m fuzz.mistakes`).
"""
