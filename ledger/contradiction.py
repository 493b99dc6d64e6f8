"""Contradictions: two partners were told what cannot both be so.

Snapshots carry the version of the dataset's content, which is the same under every
agreement, and each record the version in which it came to be as it is. An answer
shows all records of a customer. So a record of version 5 in a snapshot of version 9
was one of that customer's records in version 7, too: whoever was answered from that
one was told of it, and of the same values. Where two evidence files, each signed by
the provider, do not fit together like that, they prove to anybody that it told two
partners different things.

A record that has changed between the two snapshots has another version in the later
one, and is not compared: what it was and what it is may differ.

Tokens of two agreements cannot be compared. Each partner therefore *opens* the token
of the customer in question, and of no other (`crypto.tokens`).

Spec: `docs/protocols/snapshots.md`, section "Contradictions".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from crypto.bbs import RandomBytes
from crypto.errors import InvalidProof
from ledger.accounts import Account, unfit
from ledger.disclosure import Disclosure, ShownRecord
from ledger.evidence import Evidence
from ledger.participants import Pins
from ledger.receipts import Receipt
from ledger.steps import require
from ledger.verify import verify_evidence

_NEEDED: Final = ("receipt", "provider_signature", "disclosure", "openings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Contradiction:
    """What the provider told two partners about one customer, and cannot both be.

    Attributes:
        identifier: The customer's.
        records: How many records each was told that the customer has.
        versions: Of records, those of which the numbers do not fit, sorted.
        fields: Names of the fields that do not fit, sorted.
    """

    identifier: str
    records: tuple[int, int]
    versions: tuple[int, ...]
    fields: tuple[str, ...]


def contradictions(
    one: Evidence,
    other: Evidence,
    pins: Pins,
    *,
    random_bytes: RandomBytes | None = None,
) -> tuple[Contradiction, ...]:
    """Compare what one provider told two partners about a dataset.

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
        Invalid: One of the two does not verify; or they are not of one provider
            and dataset, or open no customer in common.
    """
    facts, accounts = [], []
    for evidence in (one, other):
        facts.append(_verified(evidence, pins, random_bytes))
        accounts.append(_accounts(evidence))
    if facts[0] != facts[1]:
        raise InvalidProof("not of one provider and dataset")
    ours, theirs = accounts
    common = sorted(ours.keys() & theirs.keys())
    if not common:
        raise InvalidProof("no customer is shared with both, and opened by both")
    compared = (_compare(name, ours[name], theirs[name]) for name in common)
    return tuple(found for found in compared if found)


def _verified(
    evidence: Evidence, pins: Pins, random_bytes: RandomBytes | None
) -> tuple[str, str]:
    """Check what is needed; return provider and dataset."""
    steps = verify_evidence(evidence, pins, random_bytes=random_bytes)
    found = [step for step in steps if step.name in _NEEDED]
    require(found)
    if evidence.disclosure is None or len(found) != len(_NEEDED):
        raise InvalidProof("evidence without a disclosure, or without openings")
    snapshot = evidence.disclosure.snapshot.snapshot
    return snapshot.provider, snapshot.dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one partner was told of one customer.

    Attributes:
        version: Of the snapshot.
        by_version: What was told of its records, by the version of each.
    """

    version: int
    by_version: Mapping[int, Account]

    @property
    def records(self) -> int:
        return sum(account.total for account in self.by_version.values())


def _accounts(evidence: Evidence) -> dict[str, _Told]:
    """Return what is told of each customer that is opened and shared."""
    receipt, told = evidence.signed.receipt, evidence.disclosure
    answers = {answer.customer: answer for answer in told.answers} if told else {}
    found = {}
    for opening in evidence.openings:
        records = answers[opening.customer].records
        if told is not None and records is not None:
            found[opening.identifier] = _Told(
                version=told.snapshot.snapshot.version,
                by_version={
                    version: _account(told, receipt, records, version)
                    for version in {record.version for record in records}
                },
            )
    return found


def _account(
    told: Disclosure, receipt: Receipt, records: Sequence[ShownRecord], version: int
) -> Account:
    """Return what is told of the records of one version."""
    mine = [record.fields for record in records if record.version == version]
    return Account(
        schema=told.schema,
        total=len(mine),
        rows=tuple(fields for fields in mine if fields is not None),
        names=frozenset(receipt.fields),
        where=receipt.where,
    )


def _compare(identifier: str, one: _Told, other: _Told) -> Contradiction | None:
    before, later = sorted((one, other), key=lambda told: told.version)
    versions, fields = set[int](), set[str]()
    for version in before.by_version.keys() | later.by_version.keys():
        if version > before.version:
            continue  # it came to be as it is after the earlier snapshot
        was, still = (told.by_version.get(version) for told in (before, later))
        if still is None:
            # Changed or gone since; between snapshots of one version nothing is.
            if before.version == later.version:
                versions.add(version)
        elif was is None or not _may_remain(was, still, before, later):
            versions.add(version)
        else:
            fields |= unfit(was, still)
    if not versions and not fields:
        return None
    return Contradiction(
        identifier=identifier,
        records=(one.records, other.records),
        versions=tuple(sorted(versions)),
        fields=tuple(sorted(fields)),
    )


def _may_remain(was: Account, still: Account, before: _Told, later: _Told) -> bool:
    """Say whether so many records of one version can be left in the later one."""
    if before.version == later.version:
        return was.total == still.total
    return still.total <= was.total
