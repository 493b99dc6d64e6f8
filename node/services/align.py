"""Align: which customers do the two sides of an agreement share?

The consumer declares its customers, as tokens of that agreement; the provider
keeps which of them it knows. Only those can be asked about. Sets are padded with
random tokens to the next power of two, so that their size tells little. A set can
be declared anew once a day: customers come and go, but nobody can try one
identifier after the other.

What it does not protect: the provider can compute the token of any identifier
it can guess, and a consumer can declare customers it does not have. See
`docs/limitations.md`.
"""

import asyncio
import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u, unb64u
from crypto.errors import Malformed
from crypto.keys import X25519Key
from crypto.stream import stream
from crypto.tokens import customer_token
from ledger.snapshots import declaration_hash
from node.domain.agreement import Agreement, Status
from node.domain.negotiation import Role
from node.errors import BadRequest, Conflict, NotFound
from node.ports import (
    Clock,
    Declaration,
    Identity,
    KeptAgreement,
    Store,
    UnitOfWork,
)
from node.services.keep_snapshots import KeepSnapshots
from node.services.send import Send

_SMALLEST, _MOST = 64, 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class Align:
    """Both sides of the alignment of customers."""

    store: Store
    identity: Identity
    send: Send
    clock: Clock
    agreeing: X25519Key
    snapshots: KeepSnapshots

    def token_key(self, agreement: Agreement) -> bytes:
        """Return the key of this agreement's customer tokens, 32 bytes, secret.

        The direction is the assignee's question to the assigner. The same two
        companies in other roles have another agreement, so another key.
        """
        me = self.identity.me.did
        other = agreement.assigner if me == agreement.assignee else agreement.assignee
        partner = self.send.partner(other)
        return self.agreeing.customer_token_key(
            partner.keys["x25519"], agreement.id, agreement.assigner
        )

    def tokens(
        self, agreement: Agreement, customers: Sequence[str]
    ) -> dict[bytes, str]:
        """Return the token of each customer under an agreement, with the customer.

        Raises:
            NotFound: The partner has left the registry.
            BadRequest: A customer is empty or not in Unicode form C.
        """
        key = self.token_key(agreement)
        try:
            return {customer_token(key, customer): customer for customer in customers}
        except Malformed as error:
            detail = "Name customers by their normalised keys, in Unicode form C."
            raise BadRequest("customers.malformed", detail) from error

    async def declare(self, agreement_id: str, customers: Sequence[str]) -> int:
        """Declare our customers to the provider of an agreement.

        Args:
            customers: Normalised customer keys.

        Returns:
            How many tokens were sent, padding included.

        Raises:
            NotFound: We have no such agreement as consumer.
            BadRequest: More than a million customers, or one that has no token.
            Unavailable: The provider's node did not take them.
        """
        agreement = (await self._kept(agreement_id, Role.CONSUMER)).agreement
        tokens = set(await asyncio.to_thread(self.tokens, agreement, customers))
        size = _padded(len(tokens))
        tokens |= await asyncio.to_thread(
            self._padding, agreement_id, size - len(tokens)
        )
        declaration = await asyncio.to_thread(_declaration, tokens)
        # Before it is sent: by its order we know where answers must lead.
        await self.store.write(
            lambda work: work.agreements.keep_own(agreement_id, declaration)
        )
        body = {"customers": await asyncio.to_thread(_written, tokens)}
        path = f"/agreements/{agreement_id}/customers"
        provider = self.send.partner(agreement.assigner)
        await self.send(provider, path, body, agreement_id)
        await self.store.write(
            lambda work: work.agreements.own_taken(agreement_id, declaration.hash)
        )
        return size

    def _padding(self, agreement_id: str, count: int) -> set[bytes]:
        """Return tokens of nobody, by which nobody but us tells them from others.

        Under one agreement they are the same every time: what stays in a declaration
        and what goes tells of no token whether it is a customer's, and who declares
        the same again, as an answer was lost, sends the same.
        """
        key = self.agreeing.storage_key(f"padding/{agreement_id}")
        octets = stream(key)(32 * count)
        return {octets[32 * n : 32 * (n + 1)] for n in range(count)}

    async def receive(self, sender: str, agreement_id: str, body: Any) -> None:
        """Keep a consumer's declaration, and which of its customers we know.

        Raises:
            NotFound: The sender has no such agreement with us.
            BadRequest: Not a padded set of tokens, each once.
            Conflict: It has declared its customers today already, or the agreement
                is not in force.
        """
        kept = await self._kept(agreement_id, Role.PROVIDER, partner=sender)
        now = self.clock.now()
        _check_in_force(kept, now)
        declaration = await asyncio.to_thread(lambda: _declaration(_tokens(body)))
        day = int(now.timestamp()) // 86400

        dataset = kept.agreement.dataset
        version, known = await self.store.read(
            lambda view: (
                _version(view, dataset),
                self._known(kept.agreement, view.datasets.customers(dataset)),
            )
        )

        def _keep(work: UnitOfWork) -> None:
            if work.agreements.declaration_hash(agreement_id) == declaration.hash:
                return  # it was taken before, and the answer was lost
            if not work.receipts.count_call(f"{agreement_id}#declared", day, 1):
                detail = "Customers can be declared once a day (UTC)."
                raise Conflict("customers.declared", detail)
            # Nobody publishes meanwhile: else a new customer would be left out.
            _check_in_force(work.agreements.hold(agreement_id), now)
            work.datasets.hold(dataset)
            now_known = known
            if _version(work, dataset) != version:
                customers = work.datasets.customers(dataset)
                now_known = self._known(kept.agreement, customers)
            work.agreements.declare(agreement_id, declaration, now_known)
            work.turns.want(agreement_id)

        await self.store.write(_keep)
        self.snapshots.want(agreement_id)

    def compare(
        self, view: UnitOfWork, dataset: str, customers: Iterable[str]
    ) -> list["Match"]:
        """Find what every declaration will name once a dataset has these customers.

        A consumer that has left the registry can ask nothing, so its declarations
        stay as they are.
        """
        found = []
        for kept in view.agreements.all():
            agreement = kept.agreement
            pinned = self.identity.participant(agreement.assignee) is not None
            provides = kept.role is Role.PROVIDER
            if provides and pinned and agreement.dataset == dataset:
                known = self._known(agreement, customers)
                found.append(
                    Match(
                        agreement=agreement.id,
                        declaration=view.agreements.declaration_hash(agreement.id),
                        known=known,
                        changed=view.agreements.mismatches(agreement.id, known),
                    )
                )
        return found

    def match(self, work: UnitOfWork, matches: Iterable["Match"]) -> None:
        """Keep what was found, unless customers are declared anew since then."""
        for each in matches:
            changed = each.changed
            if work.agreements.declaration_hash(each.agreement) != each.declaration:
                changed = work.agreements.mismatches(each.agreement, each.known)
            work.agreements.match(each.agreement, changed)

    def _known(
        self, agreement: Agreement, customers: Iterable[str]
    ) -> dict[bytes, str]:
        """Return customers by their tokens under an agreement."""
        key = self.token_key(agreement)
        return {customer_token(key, customer): customer for customer in customers}

    async def _kept(
        self, agreement_id: str, role: Role, partner: str | None = None
    ) -> KeptAgreement:
        kept = await self.store.read(lambda view: view.agreements.get(agreement_id))
        other = kept and (
            kept.agreement.assignee
            if role is Role.PROVIDER
            else kept.agreement.assigner
        )
        if kept is None or kept.role is not role or partner not in {None, other}:
            raise NotFound("agreement.unknown", "There is no such agreement.")
        return kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """Which customers the tokens of an agreement name.

    Attributes:
        declaration: Hash of the declaration that was compared, None if there was
            none yet.
        known: All customers of the dataset, by their tokens.
        changed: What declared tokens name, where they named something else.
    """

    agreement: str
    declaration: str | None
    known: Mapping[bytes, str]
    changed: Mapping[bytes, str | None]


def _check_in_force(kept: KeptAgreement | None, now: datetime.datetime) -> None:
    if (
        kept is None
        or kept.status is not Status.ACTIVE
        or now >= kept.agreement.terms.valid_to
    ):
        detail = "The agreement is suspended, revoked or over."
        raise Conflict("agreement.not_in_force", detail)


def _version(view: UnitOfWork, dataset: str) -> int | None:
    publication = view.datasets.get(dataset)
    return publication.version if publication else None


def _written(tokens: set[bytes]) -> list[str]:
    return [b64u(token) for token in sorted(tokens)]


def _declaration(tokens: set[bytes]) -> Declaration:
    ordered = sorted(tokens)
    return Declaration(hash=declaration_hash(ordered), tokens=b"".join(ordered))


def _padded(count: int) -> int:
    if count > _MOST:
        raise BadRequest("customers.many", f"At most {_MOST} customers.")
    return max(_SMALLEST, 1 << (count - 1).bit_length())


def _tokens(body: Any) -> set[bytes]:
    values = body.get("customers") if isinstance(body, dict) else None
    try:
        tokens = {unb64u(value, 32) for value in values or ()}
    except (Malformed, TypeError):
        tokens = set()
    size = len(values) if isinstance(values, list) else 0
    if not tokens or len(tokens) != size or size != _padded(size):
        detail = "`customers` is a set of 32-byte tokens, padded to a power of two."
        raise BadRequest("customers.malformed", detail)
    return tokens
