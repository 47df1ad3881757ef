"""What users bring: arrays by name, images in folders, tables, labels."""
