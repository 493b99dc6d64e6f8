"""Receipts of every call, the log that holds them, and the proofs others check.

A *receipt* says what was asked and what was answered, and both sides sign it.
A provider's receipts become the leaves of one append-only *log*; a signed
*checkpoint* fixes the whole log in 32 bytes, and an *anchor* fixes the
checkpoint on a chain that no member rules alone. *Evidence* is all of that for
one receipt, in a file that anybody can check without asking anybody.

    sequence  →  integrate  →  publish  →  anchor
    receipts     log           checkpoint  ports.Anchors

Read in this order:

* `receipts`      what was asked and answered, signed twice; streams
* `records`       typed fields, and the octets under a record's signature
* `presentation`  some fields of a record, and proof that they are in it
* `disclosure`    what an allowed call was answered with; `response` checks it live
* `log`           one tree over all receipts; `checkpoint` says what it commits to
* `evidence`      all of that for one receipt, in a file
* `verify`        is it so, step by step (`steps`, in the words of `wording`)
* `participants`  whose keys are pinned; `ports`, `memory`, `errors`, `shape`

This package holds values and rules. It opens no socket and no database (only
`ledger.chain` and `ledger.rpc_reader` talk to a chain), reads no clock and
draws no randomness.

Specs: `docs/protocols/{receipts,log,evidence,records}.md`.
"""
