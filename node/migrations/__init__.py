"""Schema migrations of the node's own store."""
