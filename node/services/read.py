"""Read: fetch the records of the shared customers, as they were committed to.

Only customers that both sides know are looked up, and all committed fields of
their records: a proof about some needs the others too, and only if a record is
what it was when it was committed to can anything be proved of it. One that has
changed is taken in and committed to anew before it is shown; one that has left the
CRM, or moved to another customer, is not shown any more.
"""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial

from crypto import merkle, predicates, typed
from crypto.anchored import Sealed
from crypto.errors import Malformed
from crypto.predicates import Statement
from ledger import tiles
from ledger.disclosure import CustomerAnswer, Disclosure, ShownRecord, statement_of
from node.domain.agreement import Agreement
from node.domain.disclosure import Request
from node.errors import Unavailable
from node.ports import KeptSnapshot, Publication, Seal, Sources, Store, UnitOfWork
from node.services.commit import reopen
from node.services.draft_snapshot import stands
from node.services.keep_snapshots import KeepSnapshots
from node.services.rows import Row, read_rows
from node.services.seal_records import Overtaken, TooMany
from node.services.situate import Outdated


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What will be disclosed, and what it will be proved from.

    Attributes:
        disclosure: Values, not yet proved.
        response_hash: Of the disclosure. Of many customers it takes a while, in which
            no transaction shall wait.
        probing: The request for those customers alone of whom something is proved;
            None without conditions.
        statement: What is shown and proved of each record.
        records: For each customer asked, in order, the record behind each value;
            None where it is withheld.
    """

    disclosure: Disclosure
    response_hash: str
    probing: Request | None
    statement: Statement
    records: tuple[tuple[Sealed | None, ...], ...]


class NotReadable(Exception):
    """The call cannot be answered; the message is the denial code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Standing:
    """What is committed to for the customers of a call, in one state of the store.

    Attributes:
        positions: Of the tokens that are shared, among those declared.
        seals: By position.
        paths: Inclusion proofs, by position.
        replaced: Records that were published anew, or not any more, since they
            were sealed.
    """

    snapshot: KeptSnapshot
    positions: Mapping[bytes, int]
    seals: Mapping[int, Sequence[Seal]]
    paths: Mapping[int, tuple[bytes, ...]]
    replaced: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """Reads what a decision has allowed.

    Attributes:
        threads: Where the CRM is waited for, so that a slow one holds up nothing
            but its own readers.
    """

    store: Store
    sources: Sources
    snapshots: KeepSnapshots
    threads: Executor

    async def __call__(
        self,
        request: Request,
        publication: Publication | None,
        agreement: Agreement | None,
        most: int,
    ) -> Draft:
        """Read the requested fields of the requested customers.

        Args:
            most: The company's own cap on records in one call.

        Raises:
            Outdated: The dataset was published anew meanwhile, or records had
                changed and are taken in now.
            NotReadable: No customer is shared, there are too many records, they are
                not committed to yet, or the CRM did not answer.
        """
        if publication is None or agreement is None:
            raise NotReadable("policy.malformed")  # no policy may allow that
        most = min(most, agreement.terms.rows_per_call)
        standing = await self.store.read(
            partial(
                _look,
                publication=publication,
                request=request,
                most=most,
                key_id=self.snapshots.key_id,
            )
        )
        run = partial(asyncio.get_running_loop().run_in_executor, self.threads)
        records = [seal.record for seals in standing.seals.values() for seal in seals]
        try:
            rows = await run(read_rows, self.sources, publication, records)
            changed = [row for row in rows if not row.unchanged]
            keys = {*standing.replaced, *(row.record.key for row in changed)}
            if keys:
                await self.snapshots.catch_up(
                    publication, agreement.id, changed=changed, keys=sorted(keys)
                )
                raise Outdated
        except Unavailable as error:
            raise NotReadable("source.unavailable") from error
        except TooMany as error:
            raise NotReadable("snapshot.pending") from error
        except Overtaken as error:
            raise Outdated from error
        found = {row.record.key: row for row in rows}
        return await run(_draft, request, publication, standing, found)


def _look(
    view: UnitOfWork,
    *,
    publication: Publication,
    request: Request,
    most: int,
    key_id: str,
) -> _Standing:
    """Find the customers and what is committed to of them."""
    now = view.datasets.get(publication.dataset.id)
    if now is None or now.schema != publication.schema:
        raise Outdated
    aligned = view.agreements.aligned(request.agreement, request.customers)
    if not aligned:
        raise NotReadable("customer.not_shared")
    current = _snapshot(view, publication, request.agreement, key_id)
    positions = sorted(position for position, _ in aligned.values())
    found = view.snapshots.seals(request.agreement, positions, most + 1)
    if len(found) > most:
        raise NotReadable("rows.exceeded")
    if not found:
        raise NotReadable("customer.not_shared")
    seals: dict[int, list[Seal]] = {}
    for seal in found:
        seals.setdefault(seal.position, []).append(seal)
    size = current.signed.snapshot.customers
    stored = view.snapshots.tiles(request.agreement, tiles.needed(size, seals))
    read = tiles.Reader(stored)
    return _Standing(
        snapshot=current,
        positions={
            token: position
            for token, (position, _) in aligned.items()
            if position in seals
        },
        seals=seals,
        paths={
            position: tuple(merkle.inclusion_proof(position, size, read))
            for position in seals
        },
        replaced=_replaced(view, publication.dataset.id, found),
    )


def _snapshot(
    view: UnitOfWork, publication: Publication, agreement: str, key_id: str
) -> KeptSnapshot:
    """Return the newest snapshot, if it is of what is declared and published now."""
    current = view.snapshots.current(agreement)
    if current is None or not stands(view, agreement, current, key_id):
        raise NotReadable("snapshot.pending")
    schema_hash = typed.schema_hash(publication.schema).hex()
    if current.signed.snapshot.schema_hash != schema_hash:
        raise NotReadable("snapshot.pending")
    return current


def _replaced(view: UnitOfWork, dataset: str, seals: Sequence[Seal]) -> frozenset[str]:
    """Return the keys of records that are published otherwise than they were sealed."""
    keys = [seal.record.key for seal in seals]
    published = {each.key: each for each in view.datasets.records(dataset, keys)}
    return frozenset(
        seal.record.key
        for seal in seals
        if published.get(seal.record.key) != seal.record
    )


def _draft(
    request: Request,
    publication: Publication,
    standing: _Standing,
    rows: Mapping[str, Row],
) -> Draft:
    """Put what was found in the order in which it was asked for."""
    schema = typed.told(publication.schema, [*request.fields, *request.hidden])
    try:
        statement = statement_of(schema, request.fields, request.where)
    except Malformed as error:
        raise NotReadable("request.malformed") from error
    answers: list[CustomerAnswer] = []
    behind: list[tuple[Sealed | None, ...]] = []
    for token in request.customers:
        position = standing.positions.get(token)
        if position is None:
            answers.append(CustomerAnswer(customer=token, records=None))
            behind.append(())
            continue
        each = [
            _shown(request, publication, statement, seal, rows[seal.record.key])
            for seal in standing.seals[position]
        ]
        behind.append(tuple(sealed for _, sealed in each))
        answers.append(
            CustomerAnswer(
                customer=token,
                records=tuple(record for record, _ in each),
                index=position,
                path=standing.paths[position],
            )
        )
    disclosure = Disclosure(
        snapshot=standing.snapshot.signed, schema=schema, answers=tuple(answers)
    )
    shared = (each.customer for each in answers if each.records is not None)
    probing = replace(request, customers=tuple(shared)) if request.where else None
    return Draft(
        disclosure=disclosure,
        response_hash=disclosure.response_hash,
        probing=probing,
        statement=statement,
        records=tuple(behind),
    )


def _shown(
    request: Request,
    publication: Publication,
    statement: Statement,
    seal: Seal,
    row: Row,
) -> tuple[ShownRecord, Sealed | None]:
    """Return what is shown of a record; nothing, unless every condition holds."""
    values = row.values or {}
    sealed: Sealed | None = reopen(publication.schema, seal, values)
    if sealed is not None and not predicates.holds(sealed, statement):
        sealed = None
    return ShownRecord(
        version=seal.record.version,
        commitment=seal.commitment,
        fields={name: values[name] for name in request.fields} if sealed else None,
    ), sealed
