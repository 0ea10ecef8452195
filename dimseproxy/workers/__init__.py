"""Several processes, one proxy: a parent that holds the listening sockets, and workers that share them."""
