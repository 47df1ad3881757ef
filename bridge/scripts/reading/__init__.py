"""What a script says about training."""
