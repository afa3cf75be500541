"""What waits in the triggerer. It only reads."""
