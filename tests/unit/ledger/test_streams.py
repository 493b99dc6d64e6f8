"""Heads of streams, the search for a difference, and proofs of two histories."""

import dataclasses
import json
from typing import Any

import pytest

from crypto.encoding import b64u
from crypto.errors import InvalidSignature, Malformed
from ledger.fork import Fork, parse_fork, verify_fork
from ledger.receipts import FIRST, SignedReceipt, sign_receipt
from ledger.steps import State, verdict
from ledger.streams import (
    EMPTY,
    Place,
    SignedHead,
    StreamHead,
    parse_head,
    parse_signed_head,
    sign_head,
    verify_head,
)
from tests.support.streams import first_difference
from tests.unit.ledger import samples
from tests.unit.ledger.test_documents import code, page, table

STREAM = samples.stream(4)
KEYS = {
    samples.PROVIDER: samples.PROVIDER_KEY,
    samples.CONSUMER: samples.CONSUMER_KEY,
}


def head(
    receipts: list[SignedReceipt], signer: str = samples.CONSUMER, **changes: Any
) -> StreamHead:
    """What a party says that has these receipts."""
    newest = receipts[-1] if receipts else None
    values = {
        "provider": samples.PROVIDER,
        "consumer": samples.CONSUMER,
        "agreement": samples.AGREEMENT,
        "stream": STREAM[0].receipt.stream,
        "count": len(receipts),
        "head": newest.receipt.receipt_id if newest else FIRST,
        "newest": b64u(newest.signature) if newest else None,
        "answers": None,
        "at": "2026-11-23T00:00:00Z",
        "signer": signer,
        "key_id": KEYS[signer].key_id(signer),
    }
    return StreamHead(**{**values, **changes})


def signed(
    receipts: list[SignedReceipt], signer: str = samples.CONSUMER, **changes: Any
) -> SignedHead:
    return sign_head(head(receipts, signer, **changes), KEYS[signer])


def other(sequence: int) -> SignedReceipt:
    """Another receipt of the same stream and number, signed as well."""
    previous = STREAM[sequence - 1].receipt.receipt_id if sequence else FIRST
    changed = samples.refusal(sequence=sequence, previous=previous)
    return sign_receipt(changed, samples.PROVIDER_KEY)


def test_the_page_lists_every_member_of_a_head() -> None:
    rows = table(page("streams"), "Heads")
    listed = [name for row in rows for name in code(row[0])]
    assert sorted(listed) == sorted(head(STREAM).to_json())


def test_a_head_reads_back_as_it_was_written() -> None:
    for each in (signed([]), signed(STREAM), signed(STREAM, samples.PROVIDER)):
        again = parse_signed_head(json.loads(json.dumps(each.to_json())))
        assert again == each
        assert again.head.digest == each.head.digest


@pytest.mark.parametrize("member", sorted(head(STREAM).to_json()))
@pytest.mark.parametrize("value", [1.5, [], {}, True, "\n", -1, "did:web:nobody"])
def test_a_member_of_the_wrong_kind_does_not_parse(member: str, value: object) -> None:
    with pytest.raises(Malformed):
        parse_head(head(STREAM).to_json() | {member: value})


@pytest.mark.parametrize(
    ("changes", "law"),
    [
        ({"count": 0}, "disagree"),
        ({"head": FIRST}, "disagree"),
        ({"count": 0, "head": FIRST}, "nothing is signed"),
        ({"agreement": "another"}, "the stream is not"),
        ({"signer": "did:web:nobody"}, "no party"),
        ({"key_id": samples.PROVIDER_KEY.key_id(samples.PROVIDER)}, "another's"),
    ],
)
def test_a_head_that_breaks_a_law_does_not_parse(
    changes: dict[str, Any], law: str
) -> None:
    with pytest.raises(Malformed, match=law):
        parse_head(head(STREAM).to_json() | changes)


def test_one_company_is_not_both_parties() -> None:
    stream = samples.receipt(consumer=samples.PROVIDER).stream
    with pytest.raises(Malformed, match="one party is both"):
        head(STREAM, samples.PROVIDER, consumer=samples.PROVIDER, stream=stream)


def test_a_head_counts_under_its_signers_key_only() -> None:
    given = signed(STREAM)
    verify_head(given, samples.CONSUMER_RECORD)
    with pytest.raises(InvalidSignature):
        verify_head(given, samples.PROVIDER_RECORD)
    longer = dataclasses.replace(given, head=head(STREAM, at="2026-11-24T00:00:00Z"))
    with pytest.raises(InvalidSignature):
        verify_head(longer, samples.CONSUMER_RECORD)


def test_nobody_signs_a_head_with_a_key_that_it_does_not_name() -> None:
    with pytest.raises(ValueError, match="another key"):
        sign_head(head(STREAM), samples.PROVIDER_KEY)


# --- the search


def ids(size: int, since: int | None = None) -> list[str]:
    """Ids of a stream; another one from a number on."""
    return [
        f"{number + (10**9 if since is not None and number >= since else 0):064x}"
        for number in range(1, size + 1)
    ]


def place(stream: list[str]) -> Place:
    return Place(len(stream), stream[-1]) if stream else EMPTY


def search(ours: list[str], theirs: list[str]) -> tuple[int | None, int]:
    """Return the first difference, and how many questions found it."""
    asked: list[int] = []

    def answer(number: int) -> str:
        asked.append(number)
        return theirs[number]

    found = first_difference(
        place(ours), place(theirs), range(len(ours)), ours.__getitem__, answer
    )
    return found, len(asked)


def test_equal_streams_need_no_question() -> None:
    assert search(ids(5000), ids(5000)) == (None, 0)
    assert search([], ids(3)) == search(ids(3), []) == (None, 0)


def test_a_shorter_stream_with_the_same_start_does_not_differ() -> None:
    assert search(ids(5000), ids(4000)) == (None, 0)
    assert search(ids(4000), ids(5000)) == (None, 1)


@pytest.mark.parametrize("since", [1, 2, 1234, 2500, 4998, 4999, 5000])
@pytest.mark.parametrize("longer", [0, 1])
def test_the_first_difference_of_five_thousand_is_found_in_14_questions(
    since: int, longer: int
) -> None:
    found, questions = search(ids(5000), ids(5000 + longer, since))
    assert found == since - 1
    assert questions <= 13 + longer


def test_what_the_other_side_does_not_tell_accuses_nobody() -> None:
    ours = ids(3)
    found = first_difference(
        place(ours), Place(4, "f" * 64), range(3), ours.__getitem__, lambda _: None
    )
    assert found is None


# --- forks


def fork_of_heads(
    asked: list[SignedReceipt], answered: list[SignedReceipt], **changes: Any
) -> Fork:
    question = signed(asked)
    answer = signed(
        answered, samples.PROVIDER, **{"answers": question.head.digest, **changes}
    )
    return Fork(first=asked[-1], heads=(question, answer))


def outcome(fork: Fork) -> State:
    """Verify it as it comes out of a file."""
    value = json.loads(json.dumps(fork.to_json()))
    assert parse_fork(value) == fork
    return verdict(verify_fork(value, samples.PINS))


def test_two_receipts_of_one_number_prove_a_fork() -> None:
    for sequence in range(4):
        fork = Fork(first=STREAM[sequence], second=other(sequence))
        assert outcome(fork) is State.CHECKED
        assert fork.provider == samples.PROVIDER


def test_an_answer_that_denies_the_receipt_it_was_shown_proves_a_fork() -> None:
    for kept in (0, 1, 3):
        assert outcome(fork_of_heads(STREAM, STREAM[:kept])) is State.CHECKED
    assert outcome(fork_of_heads(STREAM, [*STREAM[:3], other(3)])) is State.CHECKED


def test_an_honest_answer_proves_nothing() -> None:
    longer = samples.stream(6)
    for answered in (STREAM, longer):
        assert outcome(fork_of_heads(STREAM, answered)) is State.FAILED


def test_an_answer_to_another_head_proves_nothing() -> None:
    for answers in (None, head(STREAM[:3]).digest):
        assert outcome(fork_of_heads(STREAM, [], answers=answers)) is State.FAILED


def test_a_head_that_shows_no_signature_of_the_receipt_proves_nothing() -> None:
    # Whoever guesses what a receipt will say cannot guess its provider's signature.
    for newest in (None, b64u(bytes(64))):
        question = signed(STREAM, newest=newest)
        answer = signed([], samples.PROVIDER, answers=question.head.digest)
        fork = Fork(first=STREAM[-1], heads=(question, answer))
        assert outcome(fork) is State.FAILED


def test_heads_of_the_wrong_party_prove_nothing() -> None:
    question = signed(STREAM)
    answer = signed([], samples.CONSUMER, answers=question.head.digest)
    assert outcome(Fork(first=STREAM[-1], heads=(question, answer))) is State.FAILED
    own = signed(STREAM, samples.PROVIDER)
    answer = signed([], samples.PROVIDER, answers=own.head.digest)
    assert outcome(Fork(first=STREAM[-1], heads=(own, answer))) is State.FAILED


def test_receipts_of_two_places_or_one_receipt_twice_prove_nothing() -> None:
    for second in (STREAM[0], STREAM[2]):
        fork = Fork(first=STREAM[2], second=second)
        assert outcome(fork) is State.FAILED


def test_what_the_provider_did_not_sign_proves_nothing() -> None:
    forged = dataclasses.replace(other(2), signature=bytes(64))
    assert outcome(Fork(first=STREAM[2], second=forged)) is State.FAILED
    honest = fork_of_heads(STREAM, [])
    question, answer = honest.both
    unsigned = dataclasses.replace(answer, signature=bytes(64))
    assert outcome(Fork(first=STREAM[-1], heads=(question, unsigned))) is State.FAILED


def test_without_pins_nothing_was_checked() -> None:
    for fork in (
        Fork(first=STREAM[2], second=other(2)),
        fork_of_heads(STREAM, []),
    ):
        assert verdict(verify_fork(fork.to_json(), {})) is State.NOT_CHECKED


@pytest.mark.parametrize("value", [None, [], {}, {"typ": "fieldpact/stream-fork/1"}])
def test_what_is_no_proof_fails_in_words(value: object) -> None:
    [step] = verify_fork(value, samples.PINS)
    assert (step.name, step.state) == ("fork", State.FAILED)


def test_a_proof_has_two_receipts_or_two_heads() -> None:
    both = fork_of_heads(STREAM, []).to_json() | {"second": other(3).to_json()}
    for value in (both, {k: v for k, v in both.items() if k in {"typ", "first"}}):
        with pytest.raises(Malformed):
            parse_fork(value)
    with pytest.raises(Malformed):
        Fork(first=STREAM[0])
    with pytest.raises(ValueError, match="two receipts"):
        _ = Fork(first=STREAM[2], second=other(2)).both


def test_the_id_of_a_proof_is_that_of_the_place_where_the_stream_parts() -> None:
    one, same, another = (
        Fork(first=STREAM[3], second=other(3)),
        fork_of_heads(STREAM, []),
        Fork(first=STREAM[2], second=other(2)),
    )
    assert one.fork_id == same.fork_id != another.fork_id
