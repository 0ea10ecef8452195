"""What answers associations."""
