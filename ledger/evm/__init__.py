"""An embedded chain: a consortium's anchors without a consortium's machinery.

A trial, a test or a small consortium needs a chain that runs from one command
and loses nothing. This one is py-evm's state machine over an SQLite file, one
process, one block per transaction, behind the JSON-RPC that every Ethereum
client speaks. A node talks to it exactly as it would to Besu.

    python -m ledger.evm --path DIR --port N

Read in this order: `transactions` (what is asked of it), `chain` (what a block is
here), `store` (bytes in SQLite, and the index of events), `params` and `wire`
(JSON-RPC's words in and out), `rpc` (questions and answers), `server` (HTTP).

What it promises: a transaction whose hash was returned is in a block that
survives the loss of the process, and of power as far as the disk tells the truth
about fsync. What it does not: one process rules this chain, so whoever runs it
can start it anew. Members who do not trust one another run a chain of several
validators (`docs/protocols/anchoring.md`).
"""
