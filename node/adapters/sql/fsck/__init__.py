"""Check the whole store of a log against itself, row by row, and name what is wrong.

Everything is derived again from what was signed: ids, links and columns from each
receipt, leaves from receipts and salts, the tree from its leaves, each checkpoint from
the tree, each anchor from its checkpoint. What was charged to budgets is compared with
what receipts say. Nothing is written. Memory does not grow with the log: it is walked
in the order of its leaves, a thousand at a time.

What nobody signed cannot be checked: `docs/operations.md` lists it.
"""

from node.adapters.sql.fsck.findings import Basis, Finding
from node.adapters.sql.fsck.walk import check

__all__ = ["Basis", "Finding", "check"]
