"""What the proxy keeps: its database."""
