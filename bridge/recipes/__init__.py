"""What to train: edits to a network, and recipes that hold a network, edits, options, loss and data in one readable
file.
"""
