"""The partner's copy of a stream, as it shows it to us.

Whatever it answers is read strictly, and a receipt counts only under its provider's
signature: an answer that cannot be believed is one that was not given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from crypto.errors import CryptoError
from ledger import shape
from ledger.receipts import SignedReceipt, parse_signed_receipt
from ledger.streams import SignedHead, parse_signed_head
from node.errors import Unavailable
from node.services.send import Send
from node.services.stream_side import MOST_ENTRIES, MOST_NUMBERS, Side

_HEAD = "/streams/head"
_ENTRY = "/streams/entry"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a partner says of its copy. Its head is verified.

    Attributes:
        lacking: Numbers that it lacks.
        unacknowledged: Numbers that it holds unsigned, where it is the provider.
        countersignatures: Its signatures by receipt, where it is the consumer.
    """

    head: SignedHead
    lacking: Sequence[int]
    unacknowledged: Sequence[int]
    countersignatures: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A receipt that a partner shows: signed by its provider, or erased."""

    sequence: int
    receipt_id: str
    signed: SignedReceipt | None
    request: str | None
    erased: str | None


@dataclass(slots=True, kw_only=True)
class PartnerCopy:
    """Asks one partner about one stream.

    Attributes:
        questions: How many receipts were asked for in the search.
    """

    send: Send
    side: Side
    questions: int = 0
    _known: dict[int, Shown | None] = field(default_factory=dict)

    async def head(self, own: SignedHead, unacknowledged: Sequence[int]) -> Told:
        """Send our head, and return what the partner answers.

        Raises:
            Unavailable: It does not answer, or with what cannot be believed.
        """
        asked = {"head": own.to_json(), "unacknowledged": list(unacknowledged)}
        numbers = shape.each(shape.count, most=MOST_NUMBERS)
        try:
            reply = shape.mapping(await self._ask(_HEAD, asked), "answer")
            told = Told(
                head=parse_signed_head(reply.get("head")),
                lacking=numbers(reply.get("lacking"), "lacking"),
                unacknowledged=numbers(reply.get("unacknowledged"), "unacknowledged"),
                countersignatures=shape.each(_signature, most=MOST_NUMBERS)(
                    reply.get("countersignatures"), "countersignatures"
                ),
            )
            self.side.check(told.head)
        except CryptoError as error:
            raise _malformed(error) from error
        if told.head.head.answers != own.head.digest:
            raise Unavailable("partner.malformed", "The partner answers another head.")
        return told

    async def one(self, number: int) -> Shown | None:
        """Return the partner's receipt of a number, or None if it shows none."""
        if number not in self._known:
            self.questions += 1
            found = await self.some(number, 1)
            self._known[number] = next(iter(found), None)
        return self._known[number]

    async def some(self, first: int, most: int) -> list[Shown]:
        """Return the receipts that a partner shows of numbers from `first` on.

        Raises:
            Unavailable: It does not answer, or not in a form that can be read.
        """
        asked = {"sequence": first, "most": min(most, MOST_ENTRIES)}
        try:
            reply = shape.mapping(await self._ask(_ENTRY, asked), "answer")
            listed = shape.each(_shown, most=2 * MOST_ENTRIES)
            found = listed(reply.get("entries"), "entries")
        except CryptoError as error:
            raise _malformed(error) from error
        return [
            each
            for each in found
            if first <= each.sequence < first + most and self._counts(each)
        ]

    def _counts(self, shown: Shown) -> bool:
        if shown.signed is None:
            return shown.erased is not None
        named = shown.signed.receipt.receipt_id
        return shown.receipt_id == named and self.side.holds(
            shown.signed, shown.sequence
        )

    async def _ask(self, path: str, body: Mapping[str, Any]) -> Any:
        whole = {"agreement": self.side.agreement, **body}
        return await self.send(self.side.partner, path, whole, self.side.agreement)


def _shown(value: object, what: str) -> Shown:
    members = {"sequence", "receipt_id", "signed", "request", "erased"}
    found = shape.members(value, members, what)
    signed = found["signed"]
    return Shown(
        sequence=shape.count(found["sequence"], "sequence"),
        receipt_id=shape.digest(found["receipt_id"], "receipt_id"),
        signed=None
        if signed is None
        else parse_signed_receipt(shape.mapping(signed, "signed")),
        request=shape.optional(shape.prose)(found["request"], "request"),
        erased=shape.optional(shape.prose)(found["erased"], "erased"),
    )


def _signature(value: object, what: str) -> Mapping[str, str]:
    found = shape.members(value, {"receipt", "signature"}, what)
    shape.digest(found["receipt"], "receipt")
    shape.octets(64)(found["signature"], "signature")
    return found


def _malformed(error: Exception) -> Unavailable:
    detail = f"The partner's answer cannot be used: {error}."
    return Unavailable("partner.malformed", detail)
