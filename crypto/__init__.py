"""The mathematics of Fieldpact: bytes in, bytes out.

Everything here is pure. No clock, no randomness of its own, no logging, no
input or output: time and random bytes come in as arguments, and what is wrong
goes out as an exception. (`crypto.conformance` alone reads files: it runs
published test vectors.) The same code therefore gives the same answer in the
node, in the dashboard and in the hands of a third party with an evidence file.

Read in this order:

* `errors`    what can be wrong, and whose fault it is
* `encoding`  one canonical form for what is signed or hashed; domain separation
* `keys`      handles that sign and do nothing else; key ids; Ed25519 verification
* `tokens`    customers compared without being named
* `merkle`    hash trees that prove what a log contains (RFC 9162)
* `notes`     signed notes and checkpoints (C2SP)
* `bbs`       one signature over a record, proofs of some of its fields
* `fields`    which number a value is; definitions that are told, or not
* `typed`     records of such fields, under one signature (FP-BBS-1)
* `anchored`  commitments to such records, made before anyone asks
* `predicates`  "at least 500,000", proved of a number that nobody is shown (FP-LBV-1)
* `stream`    one short secret, expanded to random bytes
* `sealed`    what is kept encrypted
* `bfv`, `parameters`  encrypted rows of numbers that can be added and masked
* `psi`       lists that are compared without being shown
* `vectors`, `masking`  commitments that add up, masks that cancel out
* `noise`     differential privacy on whole numbers
* `kernels`   those that take long, as functions from octets to octets
* `conformance`  runs the official vectors of all the above

Python cannot wipe memory: a key lives in the process until the process ends.
Handles protect against accidents (printing, pickling, copying), not against
someone who can read the process.
"""
