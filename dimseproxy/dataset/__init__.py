"""Data sets (PS3.5), pure."""
