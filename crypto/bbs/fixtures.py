"""One BBS fixture, checked: the layout of the vectors published with the draft.

A fixture is told by what is in it, so files may be moved or renamed. A valid
signature or proof must verify *and* come out the same to the byte when it is
made again; for proofs, with the random scalars that the fixture records.

Source: draft-irtf-cfrg-bbs-signatures, section 8 (test vectors).
"""

import itertools
from collections.abc import Callable
from typing import Any

from crypto.bbs.backends import Backend
from crypto.bbs.core import random_scalars
from crypto.bbs.generators import generators
from crypto.bbs.interface import map_messages, proof_gen, proof_verify, verify
from crypto.bbs.keys import BbsKey
from crypto.bbs.suite import EXPAND_BYTES, SCALAR_BYTES, Suite
from crypto.bbs.wire import write_scalars
from crypto.errors import CryptoError, Invalid

_unhex = bytes.fromhex


def check_fixture(case: dict[str, Any], suite: Suite, backend: Backend) -> None:
    """Check one fixture, as parsed from JSON.

    Raises:
        CryptoError: We compute something else than it says.
        LookupError, TypeError, ValueError: It is not a fixture at all.
    """
    match case:
        case {"P1": p1, "Q1": q1, "MsgGenerators": [*rest]}:
            _check_generators(suite, backend, [p1, q1, *rest])
        case {"keyMaterial": material, "keyInfo": info, "keyDst": dst, "keyPair": pair}:
            made = BbsKey.generate(
                _unhex(material),
                _unhex(info),
                dst=_unhex(dst),
                suite=suite,
                backend=backend,
            )
            _expect("the public key", made.public_bytes.hex(), pair["publicKey"])
            _read_key(pair, suite, backend)
        case {"seed": seed, "dst": dst, "count": count, "mockedScalars": scalars}:
            stream = suite.expand_message(
                _unhex(seed), _unhex(dst), EXPAND_BYTES * count
            )
            drawn = random_scalars(count, _replay(stream))
            _expect("a scalar", write_scalars(drawn).hex(), "".join(scalars))
        case {"dst": dst, "cases": [*cases]}:
            _expect(
                "the tag", suite.api_id + b"MAP_MSG_TO_SCALAR_AS_HASH_", _unhex(dst)
            )
            messages = [_unhex(case["message"]) for case in cases]
            ours = [scalar.hex() for scalar in map_messages(messages, suite=suite)]
            _expect("a scalar", ours, [case["scalar"] for case in cases])
        case {"message": message, "dst": dst, "scalar": scalar}:
            number = suite.hash_to_scalar(_unhex(message), _unhex(dst))
            _expect("the scalar", write_scalars([number]).hex(), scalar)
        case {"signerKeyPair": _, "signature": _}:
            _check_signature(case, suite, backend)
        case {"signerPublicKey": _, "proof": _}:
            _check_proof(case, suite, backend)
        case _:
            raise Invalid("not a fixture of a known kind")


def expect_verdict(valid: object, check: Callable[[], None]) -> None:
    """Run a verification that must succeed, or must refuse. Raises `Invalid`."""
    try:
        check()
    except CryptoError as error:
        if valid is not False:
            message = f"refused, and is valid: {error}"
            raise Invalid(message) from error
    else:
        _expect("the verdict", valid, True)


def _expect(what: str, ours: object, theirs: object) -> None:
    if ours != theirs:
        message = f"{what} differs"
        raise Invalid(message)


def _check_generators(suite: Suite, backend: Backend, points: list[str]) -> None:
    ours = generators(suite, backend, len(points) - 2)
    everything = (ours.base, ours.header, *ours.messages)
    _expect("a generator", [backend.encode_g1(p).hex() for p in everything], points)


def _read_key(pair: dict[str, str], suite: Suite, backend: Backend) -> BbsKey:
    key = BbsKey.from_bytes(_unhex(pair["secretKey"]), suite=suite, backend=backend)
    _expect("the public key", key.public_bytes.hex(), pair["publicKey"])
    return key


def _check_signature(case: dict[str, Any], suite: Suite, backend: Backend) -> None:
    valid = case["result"]["valid"]
    public = _unhex(case["signerKeyPair"]["publicKey"])
    signature, header = _unhex(case["signature"]), _unhex(case["header"])
    messages = [_unhex(message) for message in case["messages"]]
    expect_verdict(
        valid,
        lambda: verify(
            public,
            signature,
            header=header,
            messages=messages,
            suite=suite,
            backend=backend,
        ),
    )
    if valid:
        key = _read_key(case["signerKeyPair"], suite, backend)
        again = key.sign(header, messages, random_bytes=_constant)
        _expect("the signature", again, signature)


def _check_proof(case: dict[str, Any], suite: Suite, backend: Backend) -> None:
    valid, indexes = case["result"]["valid"], case["disclosedIndexes"]
    public, proof = _unhex(case["signerPublicKey"]), _unhex(case["proof"])
    header, ph = _unhex(case["header"]), _unhex(case["presentationHeader"])
    messages = [_unhex(message) for message in case["messages"]]
    named = [messages[index] for index in indexes]
    expect_verdict(
        valid,
        lambda: proof_verify(
            public,
            proof,
            header=header,
            ph=ph,
            disclosed_messages=named,
            disclosed_indexes=indexes,
            suite=suite,
            backend=backend,
        ),
    )
    if valid and "trace" in case:
        again = proof_gen(
            public,
            _unhex(case["signature"]),
            header=header,
            ph=ph,
            messages=messages,
            disclosed_indexes=indexes,
            random_bytes=_mocked(case["trace"]["random_scalars"]),
            suite=suite,
            backend=backend,
        )
        _expect("the proof", again, proof)


def _mocked(trace: dict[str, Any]) -> Callable[[int], bytes]:
    """Give out the random scalars that a proof fixture was made with."""
    names = ("r1", "r2", "e_tilde", "r1_tilde", "r3_tilde")
    scalars = [*(trace[name] for name in names), *trace["m_tilde_scalars"]]
    padding = bytes(EXPAND_BYTES - SCALAR_BYTES)
    return _replay(b"".join(padding + _unhex(scalar) for scalar in scalars))


def _replay(stream: bytes) -> Callable[[int], bytes]:
    octets = iter(stream)
    return lambda count: bytes(itertools.islice(octets, count))


def _constant(count: int) -> bytes:
    """Stand in for random bytes where they leave no trace."""
    return b"\x01" * count
