"""The pages that show a comparison."""
