"""The joint: associations and the Twisted protocol that carries them over TCP and TLS."""
