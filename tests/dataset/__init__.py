"""Data sets, in memory."""
