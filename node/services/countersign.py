"""Countersign: give and take the consumer's signature over a receipt."""

from collections.abc import Mapping, Sequence
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
from node.errors import BadRequest, Unavailable
from node.ports import Identity, Store, UnitOfWork
from node.services.send import Send

_PATH = "/receipts/countersignatures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Countersign:
    """Both sides of a countersignature."""

    store: Store
    identity: Identity
    send: Send
    signer: Signer

    async def __call__(self, signed: SignedReceipt, provider: Participant) -> bool:
        """Sign a receipt that we have checked, and send it to its provider.

        Returns:
            Whether the provider took it. If not, the answer stays what it is;
            the provider will miss our signature and ask for it.
        """
        signature = countersign(signed, self.signer)
        item = {
            "receipt": signed.receipt.receipt_id,
            "signature": b64u(signature.signature),
        }
        try:
            await self.send(provider, _PATH, {"countersignatures": [item]})
        except Unavailable:
            return False
        return True

    async def receive(self, sender: str, body: Mapping[str, Any]) -> int:
        """Keep a consumer's signatures over receipts of its own calls.

        Returns:
            How many were kept: all.

        Raises:
            BadRequest: One is not the sender's signature over its receipt;
                none was kept.
        """
        consumer = self.identity.participant(sender)
        items: Sequence[Mapping[str, str]] = body["countersignatures"]

        def _check(view: UnitOfWork) -> list[tuple[str, Countersignature]]:
            given = []
            for item in items:
                entry = view.receipts.entry(item["receipt"])
                if entry is None or consumer is None:
                    raise _wrong()
                given.append((item["receipt"], _checked(item, entry.signed, consumer)))
            return given

        def _keep(work: UnitOfWork) -> None:
            for receipt_id, signature in given:
                work.receipts.countersign(receipt_id, signature)

        # A receipt never changes, so it is checked without keeping writers waiting.
        given = await self.store.read(_check)
        await self.store.write(_keep)
        return len(given)


def _checked(
    item: Mapping[str, str], signed: SignedReceipt, consumer: Participant
) -> Countersignature:
    if signed.receipt.consumer != consumer.did:
        raise _wrong()
    try:
        given = Countersignature(
            key_id=consumer.signing.key_id(consumer.did),
            signature=unb64u(item["signature"], 64),
        )
        verify_countersignature(signed, given, consumer)
    except CryptoError as error:
        raise _wrong() from error
    return given


def _wrong() -> BadRequest:
    detail = "A countersignature is not yours over a receipt of your own call."
    return BadRequest("countersignature.wrong", detail)
