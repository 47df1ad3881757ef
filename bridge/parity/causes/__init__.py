"""Why two networks differ."""
