"""Contradictions: two partners were told what cannot both be so.

Snapshots carry the version of the dataset's content, which is the same under every
agreement. So of one customer, at one version, there is one set of records, and what
two partners were shown and proved of it must fit one such set. Where it does not,
their two evidence files, each signed by the provider, prove to anybody that it told
them different things.

Tokens of two agreements cannot be compared. Each partner therefore *opens* the token
of the customer in question, and of no other (`crypto.tokens`).

Spec: `docs/protocols/snapshots.md`, section "Contradictions".
"""

from dataclasses import dataclass
from typing import Final

from crypto.bbs import RandomBytes
from crypto.errors import InvalidProof
from ledger.accounts import Account, unfit
from ledger.evidence import Evidence
from ledger.participants import Pins
from ledger.steps import require
from ledger.verify import verify_evidence

_NEEDED: Final = ("receipt", "provider_signature", "disclosure", "openings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What the provider told two partners about one customer, and cannot both be.

    Attributes:
        identifier: The customer's.
        records: How many records each was told that the customer has.
        fields: Names of the fields that do not fit, sorted; none where the
            numbers of records differ.
    """

    identifier: str
    records: tuple[int, int]
    fields: tuple[str, ...]


def contradictions(
    one: Evidence,
    other: Evidence,
    pins: Pins,
    *,
    random_bytes: RandomBytes | None = None,
) -> tuple[Contradiction, ...]:
    """Compare what one provider told two partners at one version of a dataset.

    Only what is proved is compared: a record that is withheld may be any record.
    That a customer is not shared with one of the two is no contradiction.

    Args:
        one: With its disclosure, and openings of the customers in question.
        other: Of the other partner, or of the same.
        pins: The provider's keys, as pinned.
        random_bytes: As for `verify_evidence`.

    Returns:
        One for each customer that both files open, and contradict each other on.

    Raises:
        Invalid: One of the two does not verify; or they are not of one provider,
            dataset and version, or open no customer in common.
    """
    facts, accounts = [], []
    for evidence in (one, other):
        facts.append(_verified(evidence, pins, random_bytes))
        accounts.append(_accounts(evidence))
    if facts[0] != facts[1]:
        raise InvalidProof("not of one provider, dataset and version")
    ours, theirs = accounts
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        raise InvalidProof("no customer is shared with both, and opened by both")
    compared = (_compare(name, ours[name], theirs[name]) for name in common)
    return tuple(found for found in compared if found)


def _verified(
    evidence: Evidence, pins: Pins, random_bytes: RandomBytes | None
) -> tuple[str, str, int]:
    """Check what is needed; return provider, dataset and version of its content."""
    steps = verify_evidence(evidence, pins, random_bytes=random_bytes)
    found = [step for step in steps if step.name in _NEEDED]
    require(found)
    if evidence.disclosure is None or len(found) != len(_NEEDED):
        raise InvalidProof("evidence without a disclosure, or without openings")
    snapshot = evidence.disclosure.snapshot.snapshot
    return snapshot.provider, snapshot.dataset, snapshot.version


def _accounts(evidence: Evidence) -> dict[str, Account]:
    """Return what is told of each customer that is opened and shared."""
    receipt, told = evidence.signed.receipt, evidence.disclosure
    answers = {answer.customer: answer for answer in told.answers} if told else {}
    found = {}
    for opening in evidence.openings:
        records = answers[opening.customer].records
        if told is not None and records is not None:
            rows = [each.fields for each in records if each.fields is not None]
            found[opening.identifier] = Account(
                schema=told.schema,
                total=len(records),
                rows=tuple(rows),
                names=frozenset(receipt.fields),
                where=receipt.where,
            )
    return found


def _compare(identifier: str, one: Account, other: Account) -> Contradiction | None:
    counts = (one.total, other.total)
    fields = unfit(one, other) if one.total == other.total else set[str]()
    if one.total == other.total and not fields:
        return None
    return Contradiction(
        identifier=identifier, records=counts, fields=tuple(sorted(fields))
    )
