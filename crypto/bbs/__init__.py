"""BBS: one signature over a record, and proofs of some of its fields.

The issuer signs a list of messages once. From that signature it (or whoever
holds record and signature) makes any number of proofs, each of which shows some
of the messages, hides the rest perfectly, and cannot be linked to another proof
or to the signature. A proof is bound to a *header* (fixed when signed) and to a
*presentation header* (chosen for this proof: for whom, what for, and when).

Read in this order: `suite` (hashes), `backends` (the curve, twice),
`generators`, `wire` (octets), `core` (the mathematics), `interface`, `keys`.

Source: draft-irtf-cfrg-bbs-signatures (the text of -09; unchanged vectors).
docs/protocols/bbs.md says what a proof means here, and what it does not.
"""

from crypto.bbs.backends import Backend
from crypto.bbs.backends.arkworks import ARKWORKS
from crypto.bbs.core import Frame, RandomBytes, frame
from crypto.bbs.interface import map_messages, proof_gen, proof_verify, verify
from crypto.bbs.keys import BbsKey
from crypto.bbs.suite import SHA_256, SHAKE_256, SUITES, Suite

__all__ = [
    "ARKWORKS",
    "SHAKE_256",
    "SHA_256",
    "SUITES",
    "Backend",
    "BbsKey",
    "Frame",
    "RandomBytes",
    "Suite",
    "frame",
    "map_messages",
    "proof_gen",
    "proof_verify",
    "verify",
]
