"""The BBS Interface of the draft: messages are octet strings of any length.

Each message is hashed to a scalar on its own, so the scalars of a record can be
computed once and kept (`map_messages`); `crypto.bbs.core.Frame` takes those.

Source: draft-irtf-cfrg-bbs-signatures, section 3.5.
"""

from collections.abc import Sequence

from crypto.bbs.backends import Backend
from crypto.bbs.backends.arkworks import ARKWORKS
from crypto.bbs.core import RandomBytes, frame
from crypto.bbs.suite import SCALAR_BYTES, SHA_256, Suite
from crypto.bbs.wire import hidden_count


def map_messages(messages: Sequence[bytes], *, suite: Suite = SHA_256) -> list[bytes]:
    """Hash messages to scalars of 32 bytes. Source: messages_to_scalars."""
    dst = suite.api_id + b"MAP_MSG_TO_SCALAR_AS_HASH_"
    numbers = [suite.hash_to_scalar(message, dst) for message in messages]
    return [number.to_bytes(SCALAR_BYTES, "big") for number in numbers]


def verify(
    public: bytes,
    signature: bytes,
    *,
    header: bytes,
    messages: Sequence[bytes],
    suite: Suite = SHA_256,
    backend: Backend = ARKWORKS,
) -> None:
    """Check a signature over a whole record. Source: Verify.

    Args:
        public: The issuer's *pinned* key, 96 bytes.
        signature: 80 bytes.
        header: What was bound to the record when it was signed.
        messages: All messages, in order.
        suite: The ciphersuite the issuer uses.
        backend: The library that does the arithmetic.

    Raises:
        Malformed: Key or signature do not parse.
        InvalidSignature: The issuer did not sign this record.
    """
    common = frame(suite, backend, public, header, len(messages))
    common.verify(signature, map_messages(messages, suite=suite))


def proof_gen(
    public: bytes,
    signature: bytes,
    *,
    header: bytes,
    ph: bytes,
    messages: Sequence[bytes],
    disclosed_indexes: Sequence[int],
    random_bytes: RandomBytes,
    suite: Suite = SHA_256,
    backend: Backend = ARKWORKS,
) -> bytes:
    """Prove a signature while showing some messages. Source: ProofGen.

    Args:
        public: The issuer's key, 96 bytes.
        signature: 80 bytes. It is not checked: a false one gives a false proof.
        header: What was bound to the record when it was signed.
        ph: Presentation header: for whom, for what and when this proof is. A
            fresh value of the verifier's in it makes a replay recognisable.
        messages: All messages, in order.
        disclosed_indexes: Which are shown: ascending, counted from 0.
        random_bytes: Fresh for each proof (see `Frame.prove`).
        suite: The ciphersuite the issuer uses.
        backend: The library that does the arithmetic.

    Returns:
        272 bytes and 32 for each message that stays hidden.

    Raises:
        Malformed: Key, signature or indexes do not parse.
    """
    common = frame(suite, backend, public, header, len(messages))
    return common.prove(
        signature,
        map_messages(messages, suite=suite),
        disclosed=disclosed_indexes,
        ph=ph,
        random_bytes=random_bytes,
    )


def proof_verify(
    public: bytes,
    proof: bytes,
    *,
    header: bytes,
    ph: bytes,
    disclosed_messages: Sequence[bytes],
    disclosed_indexes: Sequence[int],
    suite: Suite = SHA_256,
    backend: Backend = ARKWORKS,
) -> None:
    """Check that shown messages come from a signed record. Source: ProofVerify.

    What this does not show: that the issuer signed no other record about the
    same customer, or that what it signed is true (docs/protocols/bbs.md).

    Args:
        public: The issuer's *pinned* key, 96 bytes.
        proof: What `proof_gen` returned; its length tells how many are hidden.
        header: What the verifier expects to be bound to the record.
        ph: The presentation header the verifier expects, its nonce included.
        disclosed_messages: The messages shown.
        disclosed_indexes: Their places in the record: ascending, from 0.
        suite: The ciphersuite the issuer uses.
        backend: The library that does the arithmetic.

    Raises:
        Malformed: Key, proof or indexes do not parse.
        InvalidProof: The proof does not show these messages in this setting.
    """
    count = hidden_count(proof) + len(disclosed_indexes)
    common = frame(suite, backend, public, header, count)
    scalars = map_messages(disclosed_messages, suite=suite)
    common.verify_proof(proof, scalars, disclosed=disclosed_indexes, ph=ph)
