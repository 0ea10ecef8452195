"""Several processes, one proxy: what the parent and its workers do, in memory and on loopback sockets."""
