"""Receipts of every call, the log that holds them, and the proofs others check.

A *receipt* says what was asked and what was answered, and both sides sign it.
A provider's receipts become the leaves of one append-only *log*; a signed
*checkpoint* fixes the whole log in 32 bytes, and an *anchor* fixes the
checkpoint on a chain that no member rules alone. *Evidence* is all of that for
one receipt, in a file that anybody can check without asking anybody.

    sequence  →  integrate  →  publish  →  anchor
    receipts     log           checkpoint  ports.Anchors

This package holds values and rules. It opens no socket and no database (only
`ledger.chain` and `ledger.rpc_reader` talk to a chain), reads no clock and
draws no randomness.

Specs: `docs/protocols/{receipts,log,evidence,records}.md`.
"""
