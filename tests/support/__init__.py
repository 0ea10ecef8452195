"""Real peers, sample objects and the proxy as a process, for the end-to-end tests."""
