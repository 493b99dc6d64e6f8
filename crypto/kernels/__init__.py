"""Arithmetic that takes long, as functions from octets to octets.

Encrypting a row of 8,192 numbers or blinding ten thousand identifiers takes longer
than an event loop may stand still. So it is done in another process, on this machine
or another (`node.ports.aggregates.Compute`), which is handed the name of a *kernel* and
octets. A kernel is a module-level function here: it keeps no state but what it has
parsed before, draws randomness from a seed that it is given (SEAL draws its own), and
raises `CryptoError`. A worker runs nothing that is not in this package.

* `packing`   several octets as one, and rows of numbers as octets
* `bfv`       encrypted rows
* `psi`       blinded identifiers
* `rows`      commitments to rows, and masks
* `worker`    what runs in a worker process: one kernel after another
* `selftest`  known answers, before anything is computed

Secrets travel to workers, so a worker is as trusted as the node: it belongs to the
same company (`docs/operations.md`).
"""
