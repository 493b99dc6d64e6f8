"""Receipts of every call, the log that holds them, and the proofs others check.

A provider commits to the records of an agreement before anybody asks: a *snapshot*.
A *receipt* says what was asked and what was answered, and both sides sign it.
Receipts and snapshots of a provider become the leaves of one append-only *log*; a
signed *checkpoint* fixes the whole log in 32 bytes, and an *anchor* fixes the
checkpoint on a chain that no member rules alone. *Evidence* is all of that for
one call, in a file that anybody can check without asking anybody.

    sequence             →  integrate  →  publish     →  anchor
    receipts, snapshots     log           checkpoint     ports.Anchors

Read in this order:

* `receipts`      what was asked and answered, signed twice; streams
* `conditions`    what is to be proved of fields that stay hidden
* `records`       schemas, and which fields of them are told
* `snapshots`     what a provider has committed to; `tiles` keeps its tree
* `presentation`  fields of a record shown, and conditions proved of others
* `plans`         what is to be computed over records (`plan_parts`, `plan_laws`)
* `answers`       what an allowed call was answered with; `disclosure` checks it,
                  `response` does when it is live, and `step_answer` of a plan's steps
* `log`           one tree over all entries; `checkpoint` says what it commits to
* `evidence`      all of that for one call, in a file; `bundle` for all of a stream
* `verify`        is it so, step by step (`steps`, in the words of `wording`): how far
                  an entry has come (`standing`, `place`), who asked (`request`), who
                  held the keys (`held`); `bundle_check` and `completeness` for many;
                  `conclusion` is the verdict, and `verifier` the program
* `contradiction` what two partners were told and cannot both be so (`accounts`)
* `participants`  whose keys are pinned; `ports`, `memory`, `errors`, `shape`

This package holds values and rules. It opens no socket and no database (only
`ledger.jsonrpc` talks to a chain), reads no clock and draws no randomness (only the
program does).

Specs: `docs/protocols/{receipts,plans,snapshots,log,evidence}.md`.
"""
