"""Workers run kernels and nothing else, and hold what calls share."""

import importlib.metadata
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crypto import bfv as plain_bfv
from crypto import noise
from crypto import psi as plain
from crypto.encoding import sha256
from crypto.errors import Invalid, InvalidBatch, InvalidProof, Malformed
from crypto.kernels import bfv, psi, rows, selftest, worker
from crypto.kernels.packing import numbers, pack, unpack
from crypto.kernels.worker import Named, Outcome, name_of, result_of, run
from crypto.parameters import SETS, ParameterSet

SET = b"bfv-8192-41"


def blind() -> tuple[str, list[bytes]]:
    scalar = psi.key(bytes(range(64)))
    return name_of(psi.blind), [scalar, bytes(32), pack(b"a", b"b")]


def test_a_kernel_is_found_by_its_name_and_run() -> None:
    name, arguments = blind()
    assert name == "crypto.kernels.psi:blind"
    assert result_of(run(name, arguments)) == psi.blind(*arguments)


def test_shared_octets_are_brought_once() -> None:
    name, (scalar, session, part) = blind()
    digest = sha256(b"fresh for this test" * 2)
    assert run(name, [scalar, Named(digest, None), part]) == Outcome(lacking=(digest,))
    named = Named(sha256(session), session)
    brought = run(name, [scalar, named, part])
    assert run(name, [scalar, Named(named.digest, None), part]) == brought


def test_what_a_call_brings_and_returns_shows_in_no_repr() -> None:
    """What carries calls may log them; the octets may be keys, or exact figures."""
    secret = b"a secret key"
    for each in (Named(sha256(secret), secret), Outcome(octets=secret)):
        assert "secret" not in repr(each)


def test_the_oldest_shared_octets_go_first(monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = worker._Shelf()
    monkeypatch.setattr(worker, "MOST", 8)
    held = [bytes([number]) * 4 for number in range(3)]
    for octets in held:
        assert shelf.take(Named(sha256(octets), octets)) is octets
    assert shelf.take(Named(sha256(held[0]), None)) is None
    assert shelf.take(Named(sha256(held[2]), None)) is held[2]


def test_octets_under_the_digest_of_others_are_refused() -> None:
    name, (scalar, session, part) = blind()
    with pytest.raises(ValueError, match="digest"):
        run(name, [scalar, Named(sha256(b"others"), session), part])


@pytest.mark.parametrize(
    "foreign",
    [
        os.system,
        plain.bucket,
        test_a_kernel_is_found_by_its_name_and_run,
        lambda: b"",
        rows._scalar,
        bytes,
    ],
)
def test_foreign_functions_have_no_name_as_kernels(foreign: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="is no kernel"):
        name_of(foreign)


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "crypto.kernelsx:run",
        "crypto.kernels.psi:_count",
        "crypto.kernels.psi:parse_number",
        "crypto.kernels.psi:psi",
        "crypto.kernels.psi:nothing",
    ],
)
def test_foreign_names_are_not_run(name: str) -> None:
    with pytest.raises(ValueError, match="is no kernel"):
        run(name, [])


def test_what_a_kernel_refuses_comes_back_as_a_value() -> None:
    name, (scalar, _, part) = blind()
    outcome = run(name, [scalar, b"short", part])
    outcome = pickle.loads(pickle.dumps(outcome))  # noqa: S301  # made right here
    with pytest.raises(Malformed, match="32 bytes"):
        result_of(outcome)
    wrong = [rows.scalar(1), numbers([1]), rows.commit(rows.scalar(1), numbers([2]))]
    with pytest.raises(InvalidProof):
        result_of(run(name_of(rows.check_sum), wrong))


def test_an_error_of_another_kind_comes_back_as_what_it_is_at_least(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: bytes) -> bytes:
        raise InvalidBatch({1: Malformed("x")})

    monkeypatch.setattr(worker, "_found", lambda _: refuse)
    outcome = run("anything", [])
    assert outcome.fault == ("Invalid", "1 of the proofs of this batch do not hold")


def test_an_outcome_without_a_result_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="nothing was computed"):
        result_of(Outcome(lacking=(bytes(32),)))


# --- known answers ----------------------------------------------------------


def test_known_answers_are_given() -> None:
    assert selftest.check() == b""


def test_another_version_of_tenseal_is_refused() -> None:
    with pytest.raises(Invalid, match=r"TenSEAL is 0\.3\.18, and not 0\.3\.17"):
        selftest.check(b"0.3.17")


def test_a_worker_with_another_tenseal_computes_nothing_with_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    secret, public = unpack(bfv.key_pair(SET))
    monkeypatch.setattr(importlib.metadata, "version", lambda _: "0.3.19")
    for cached in (selftest.check_installed, bfv._public, bfv._secret):
        cached.cache_clear()
    row, bound = numbers([1]), numbers([1])
    try:
        for kernel, arguments in (
            (bfv.key_pair, (SET,)),
            (bfv.digest, (SET, public)),
            (bfv.encrypt, (SET, public, bound, row)),
            (bfv.combine, (SET, public, bound, row, bytes(32))),
            (bfv.decrypt, (SET, secret, bound, plain_bfv_octets(public))),
        ):
            with pytest.raises(Invalid, match=r"TenSEAL is 0\.3\.19"):
                result_of(run(name_of(kernel), arguments))
    finally:
        selftest.check_installed.cache_clear()


def plain_bfv_octets(public: bytes) -> bytes:
    key = plain_bfv.parse_encryption_key(SET.decode(), public)
    return key.encrypt([1], bound=1).octets


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("_BLINDED", "00", "ristretto255"),
        ("_COMMITTED", "00", "BLS12-381"),
        ("_KEY_STREAM", "00", "ChaCha20"),
    ],
)
def test_a_wrong_answer_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setattr(selftest, name, value)
    with pytest.raises(Invalid, match=words):
        selftest.check()


def test_a_release_that_does_not_drown_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    flood = plain_bfv._flood

    def shallow(parameters: ParameterSet, random_bytes: Any) -> Any:
        return flood(replace(parameters, flood_bits=20), random_bytes)

    monkeypatch.setattr(plain_bfv, "_flood", shallow)
    with pytest.raises(Invalid, match="after the flood"):
        selftest.check()


def test_numbers_that_come_out_wrong_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    decrypt = plain_bfv.DecryptionKey.decrypt

    def wrong(key: plain_bfv.DecryptionKey, given: plain_bfv.Ciphertext) -> list[int]:
        return [*decrypt(key, given)[:-1], 7]

    monkeypatch.setattr(plain_bfv.DecryptionKey, "decrypt", wrong)
    with pytest.raises(Invalid, match="encrypted numbers is wrong"):
        selftest.check()


def test_a_key_that_reads_what_is_for_another_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[plain_bfv.DecryptionKey] = []

    def same(parameters: ParameterSet) -> plain_bfv.DecryptionKey:
        made.append(made[0] if made else plain_bfv.DecryptionKey(parameters))
        return made[0]

    monkeypatch.setattr(selftest, "DecryptionKey", same)
    with pytest.raises(Invalid, match="under another key is decrypted"):
        selftest.check()


@pytest.mark.parametrize(
    ("fresh", "left", "words"),
    [
        (125, 3, "a noise budget of 3 bits, of 125"),
        (5, 6, "a noise budget of 6 bits, of 5"),
        (125, 9, "9 bits after the flood"),
    ],
)
def test_a_noise_budget_that_is_none_is_told(fresh: int, left: int, words: str) -> None:
    with pytest.raises(Invalid, match=words):
        selftest._check_budget(SETS["bfv-8192-41"], fresh, left)


def test_noise_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong() -> None:
        raise Invalid("no noise")

    monkeypatch.setattr(noise, "check", wrong)
    with pytest.raises(Invalid, match="no noise"):
        selftest.check()
