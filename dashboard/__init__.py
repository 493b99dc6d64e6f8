"""The sovereignty dashboard: an auditor of one node, in a process of its own.

It reads the node's audit API over HTTP, shows what left the company, to whom,
under which grant, and checks receipts again with the library that any third
party would use (`ledger.verify`) and once more in the reader's browser. It never
imports `node`: whatever the node says is a statement here until it was checked,
and each page says which of the two it shows.

What a check is made against comes from this process's own settings: the pinned
participants of the consortium (`registry`), and the chain it asks itself.
"""
