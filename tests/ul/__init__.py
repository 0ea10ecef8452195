"""The upper layer, in memory."""
