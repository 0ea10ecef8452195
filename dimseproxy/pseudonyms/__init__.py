"""Where pseudonyms come from: the embedded vault, gPAS, the MII interface, or a table."""
