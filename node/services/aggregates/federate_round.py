"""One round of a federated sum, as its asker goes through it.

Everybody accepts, then everybody contributes to the roster that comes of it. What a
party answers is checked as soon as it is there, and kept before the next step, so
that a round goes on after a kill where it was. A party that does not answer ends the
round (`Missing`); a party whose answer is wrong by itself is named, for it signed that
answer in its receipt.

Spec: `docs/protocols/fp-agg-1.md`.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from crypto.bbs.suite import ORDER
from crypto.encoding import canonical
from crypto.errors import CryptoError, Malformed
from crypto.kernels import bfv
from crypto.kernels.packing import pack, unpack
from crypto.vectors import check_commitment
from ledger import shape as form
from ledger.participants import Participant
from ledger.plans import Party, SignedPlan
from ledger.rosters import Roster, parse_acceptance, verify_acceptance, verify_roster
from node.domain.agreement import render_instant
from node.errors import Conflict, Unavailable
from node.ports import Clock, Identity
from node.services.aggregates.federate_rules import ACCEPT, CONTRIBUTE, Shape
from node.services.aggregates.steps import Answer, CallStep, Run


class Missing(Exception):
    """Parties that did not answer; the round cannot be finished.

    Attributes:
        dids: Who, sorted.
    """

    def __init__(self, dids: tuple[str, ...], why: Unavailable) -> None:
        super().__init__(f"{len(dids)} parties did not answer")
        self.dids, self.why = dids, why


@dataclass(frozen=True, slots=True)
class Received:
    """What one party contributed, checked for its form.

    Attributes:
        commitment: A point, 48 bytes.
        blinding: Masked, 32 bytes, big-endian.
        ciphertexts: Of its masked cells, in order.
    """

    commitment: bytes
    blinding: bytes
    ciphertexts: Sequence[bytes]

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read what `octets` writes."""
        commitment, blinding, *ciphertexts = unpack(octets)
        return cls(commitment, blinding, ciphertexts)

    @property
    def octets(self) -> bytes:
        """All of it."""
        return pack(self.commitment, self.blinding, *self.ciphertexts)


@dataclass(frozen=True, slots=True)
class Gathered:
    """What all parties contributed, in their order, and what it is measured in.

    Attributes:
        unit: Of the field that is summed, if it has one.
        scale: Its digits after the decimal point.
    """

    unit: str | None
    scale: int
    given: Sequence[Received]

    @classmethod
    def parse(cls, octets: bytes) -> Self:
        """Read what `octets` writes."""
        told, *given = unpack(octets)
        unit, scale = json.loads(told)
        return cls(unit, scale, [Received.parse(each) for each in given])

    @property
    def octets(self) -> bytes:
        """All of it."""
        told = canonical([self.unit, self.scale])
        return pack(told, *(each.octets for each in self.given))


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A plan, and everybody's way through its two steps.

    Attributes:
        signed: Of this round.
        public: The key that the plan names, for all to encrypt under.
        stage: Put before the names of the run's stages.
    """

    identity: Identity
    call: CallStep
    clock: Clock
    run: Run
    signed: SignedPlan
    public: bytes
    stage: str

    async def __call__(self) -> Gathered:
        """Return the contributions.

        Raises:
            Missing: Somebody did not answer.
            Conflict: An answer is wrong, and whose; or they do not go together.
            Refused: A party refused.
        """
        parties = self.signed.plan.parties
        asked = [self._accepted(at, each) for at, each in enumerate(parties)]
        accepted = list(map(json.loads, await self._all(ACCEPT, asked)))
        unit, scale = self._measured(accepted)
        roster = await self._roster([each["acceptance"] for each in accepted])
        asked = [self._contributed(at, each, roster) for at, each in enumerate(parties)]
        given = map(Received.parse, await self._all(CONTRIBUTE, asked))
        return Gathered(unit, scale, list(given))

    def _measured(
        self, accepted: Sequence[Mapping[str, Any]]
    ) -> tuple[str | None, int]:
        """Check that all measure alike, before anybody contributes."""
        (found, *others) = {(each["unit"], each["scale"]) for each in accepted}
        if others:
            detail = "The parties measure in different units: a sum means nothing."
            raise Conflict("party.units", detail)
        return found

    async def _all(self, step: str, answers: Sequence[Any]) -> list[bytes]:
        """Wait for everybody; what some answered is kept even if others do not."""
        await self.run.tell(self.stage + step, 0, len(answers))
        found = await asyncio.gather(*answers, return_exceptions=True)
        silent = [each for each in found if isinstance(each, Missing)]
        for each in found:
            if isinstance(each, BaseException) and not isinstance(each, Missing):
                raise each
        if silent:
            dids = sorted(did for each in silent for did in each.dids)
            raise Missing(tuple(dids), silent[0].why)
        await self.run.tell(self.stage + step, len(answers), len(answers))
        return [each for each in found if isinstance(each, bytes)]

    async def _accepted(self, at: int, party: Party) -> bytes:
        async def ask() -> bytes:
            answer = await self._answer(party, ACCEPT, {})
            try:
                pinned = self.identity.participant(party.did)
                await asyncio.to_thread(self._check_acceptance, pinned, answer)
            except CryptoError as error:
                raise _wrong(party, "an acceptance that is not of this plan") from error
            return canonical(answer.members)

        return await self.run.once(f"{self.stage}{ACCEPT}-{at}", ask)

    async def _answer(
        self,
        party: Party,
        step: str,
        arguments: Mapping[str, Any],
        payload: bytes = b"",
    ) -> Answer:
        try:
            return await self.call(self.signed, party, step, arguments, payload)
        except Unavailable as error:
            if not error.code.startswith("partner."):
                raise  # it is ours that does not answer
            raise Missing((party.did,), error) from None

    def _check_acceptance(self, pinned: Participant | None, answer: Answer) -> None:
        wanted = {"acceptance", "unit", "scale"}
        found = form.members(answer.members, wanted, "answer")
        form.optional(form.prose)(found["unit"], "unit")
        form.count(found["scale"], "scale")
        signed = parse_acceptance(found["acceptance"])
        if pinned is None or answer.payload:
            raise Malformed("nobody who is known, or more than an acceptance")
        verify_acceptance(signed, pinned)
        if signed.acceptance.plan != self.signed.plan.plan_hash:
            raise Malformed("an acceptance of another plan")

    async def _roster(self, accepted: Sequence[Any]) -> Roster:
        plan, at = self.signed.plan, render_instant(self.clock.now())
        pins = {each.did: self.identity.participant(each.did) for each in plan.parties}

        def verified() -> Roster:
            roster = Roster(tuple(map(parse_acceptance, accepted)))
            verify_roster(roster, plan, pins.get, at=at)
            return roster

        try:
            return await asyncio.to_thread(verified)
        except CryptoError as error:
            detail = "The acceptances do not make a roster, or hold no longer."
            raise Conflict("roster.invalid", detail) from error

    async def _contributed(self, at: int, party: Party, roster: Roster) -> bytes:
        async def ask() -> bytes:
            arguments = {"roster": roster.to_json()}
            answer = await self._answer(party, CONTRIBUTE, arguments, self.public)
            try:
                return (await self._received(answer, roster)).octets
            except CryptoError as error:
                raise _wrong(party, "a contribution that is none") from error

        return await self.run.once(f"{self.stage}{CONTRIBUTE}-{at}", ask)

    async def _received(self, answer: Answer, roster: Roster) -> Received:
        wanted = {"roster", "commitment", "blinding"}
        found = form.members(answer.members, wanted, "answer")
        form.constant(found["roster"], roster.roster_hash, "roster")
        received = Received(
            form.octets(48)(found["commitment"], "commitment"),
            form.octets(32)(found["blinding"], "blinding"),
            unpack(answer.payload),
        )
        check_commitment(received.commitment)
        if int.from_bytes(received.blinding, "big") >= ORDER:
            raise Malformed("a blinding out of range")
        table = Shape.of(self.signed.plan)
        if len(received.ciphertexts) != table.ciphertexts:
            raise Malformed("more ciphertexts than the table has, or fewer")
        name = table.parameters.name.encode()
        for each in received.ciphertexts:
            await self.run.compute(bfv.check_ciphertext, name, each)
        return received


def _wrong(party: Party, what: str) -> Conflict:
    detail = f"{party.did} sent {what}; its receipt shows that it did."
    return Conflict("party.answer", detail, extra={"party": party.did})
