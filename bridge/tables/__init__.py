"""The rows of `mappings/`."""
