"""The message exchange, in memory."""
