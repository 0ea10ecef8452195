"""What accepts associations."""
