"""Countersign: give and take the consumer's signature over a receipt."""

import datetime
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u, unb64u
from crypto.errors import CryptoError
from crypto.signing import Signer
from ledger.participants import Participant
from ledger.receipts import (
    Countersignature,
    SignedReceipt,
    countersign,
    verify_countersignature,
)
from node.errors import BadRequest, Gone, NotFound, Unavailable
from node.ports import Clock, Identity, Owed, Store, UnitOfWork
from node.services.send import Send

_PATH = "/receipts/countersignatures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersign:
    """Both sides of a countersignature."""

    store: Store
    identity: Identity
    send: Send
    clock: Clock
    signer: Signer

    def sign(self, signed: SignedReceipt) -> Countersignature:
        """Sign a receipt that we have checked. It travels with the next call."""
        return countersign(signed, self.signer)

    async def deliver(self, *, waited_s: float = 0.0) -> int:
        """Send signatures that no call has taken along.

        A provider that does not take them is asked again the next time.

        Args:
            waited_s: Only those that waited for a call so long.

        Returns:
            How many providers took.
        """
        before = self.clock.now() - datetime.timedelta(seconds=waited_s)
        waiting = await self.store.read(
            lambda view: {
                stream: view.receipts.owed(stream, before)
                for stream in view.receipts.owing()
            }
        )
        return sum([await self._deliver(owed) for owed in waiting.values() if owed])

    async def _deliver(self, owed: Sequence[Owed]) -> int:
        items = [_item(each) for each in owed]
        try:
            provider = self.send.partner(owed[0].signed.receipt.provider)
            await self.send(provider, _PATH, {"countersignatures": items})
        except (NotFound, Unavailable):
            return 0
        taken = [item["receipt"] for item in items]
        await self.store.write(lambda work: work.receipts.delivered(taken))
        return len(taken)

    async def receive(self, sender: str, body: Mapping[str, Any]) -> int:
        """Keep a consumer's signatures over receipts of its own calls.

        Returns:
            How many were taken: all.

        Raises:
            BadRequest: One is not the sender's signature over its receipt;
                none was kept.
        """
        consumer = self.identity.participant(sender)
        items: Sequence[tuple[str, bytes]] = [
            (item["receipt"], _octets(item["signature"]))
            for item in body["countersignatures"]
        ]

        def _check(view: UnitOfWork) -> list[tuple[str, Countersignature]]:
            given = []
            for receipt_id, signature in items:
                try:
                    entry = view.receipts.entry(receipt_id)
                except Gone:
                    continue  # nobody can say any more what it was given for
                if entry is None or consumer is None:
                    raise _wrong()
                given.append((receipt_id, checked(signature, entry.signed, consumer)))
            return given

        def _keep(work: UnitOfWork) -> None:
            for receipt_id, signature in given:
                work.receipts.countersign(receipt_id, signature)

        # A receipt never changes, so it is checked without keeping writers waiting.
        given = await self.store.read(_check)
        await self.store.write(_keep)
        return len(items)


def checked(
    signature: bytes, signed: SignedReceipt, consumer: Participant
) -> Countersignature:
    """Return a consumer's signature over a receipt of its own call.

    Raises:
        BadRequest: It is none.
    """
    if signed.receipt.consumer != consumer.did:
        raise _wrong()
    for key in consumer.verifiers:  # it may have signed before it changed its key
        given = Countersignature(key_id=key.key_id(consumer.did), signature=signature)
        with suppress(CryptoError):
            verify_countersignature(signed, given, consumer)
            return given
    raise _wrong()


def _item(owed: Owed) -> dict[str, str]:
    return {
        "receipt": owed.signed.receipt.receipt_id,
        "signature": b64u(owed.countersignature.signature),
    }


def _octets(text: str) -> bytes:
    try:
        return unb64u(text, 64)
    except CryptoError as error:
        raise _wrong() from error


def _wrong() -> BadRequest:
    detail = "A countersignature is not yours over a receipt of your own call."
    return BadRequest("countersignature.wrong", detail)
