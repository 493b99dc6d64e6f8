"""The node's verbs: one file, one class, one `__call__` each."""
