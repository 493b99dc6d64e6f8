"""The node's own store: receipts, agreements, records, the log."""
