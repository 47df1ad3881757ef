"""Files: replaced whole or not at all, locked while a run writes them, and names that are safe in them."""
