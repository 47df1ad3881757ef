"""Files: replaced whole or not at all, locked while a run writes them; names and source that are safe in them."""
