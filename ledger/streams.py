"""What each side says of a stream, and where two sides begin to differ.

Both parties of an agreement keep its stream of receipts. Each can say, under its
signature, how many it knows of and which is the newest: a *head*. As every receipt
names the one before, two equal heads mean that both know the same stream, whatever
it holds. Where heads differ, a search by halves finds the first receipt that does.

A head that answers another one names it, and says which provider's signature its
newest receipt bears. Nobody can say that before it was signed. So a provider that
answers "I have fewer" to a head which shows a receipt of its own has contradicted
itself, by whatever clock (`ledger.fork`).

A head says what its signer knows of. It does not show that the signer still keeps
each receipt, nor that there was no call which both leave out.

Spec: `docs/protocols/streams.md`.
"""

from bisect import bisect_left
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from crypto.encoding import b64u, canonical, sha256, tagged
from crypto.errors import InvalidSignature
from crypto.signing import Signer
from ledger import shape
from ledger.participants import Participant
from ledger.receipts import FIRST, SignedReceipt, stream_id

TYPE: Final = "fieldpact/stream-head/1"
_THING: Final = "stream-head"


@dataclass(frozen=True, slots=True)
class Place:
    """How far a stream is known: how many receipts, and the id of the newest."""

    count: int
    head: str


EMPTY: Final = Place(0, FIRST)


def _signature(value: object, what: str) -> str:
    shape.octets(64)(value, what)
    return str(value)


_READERS: Final[Mapping[str, Callable[[object, str], object]]] = {
    "provider": shape.did,
    "consumer": shape.did,
    "agreement": shape.text,
    "stream": shape.digest,
    "count": shape.count,
    "head": shape.digest,
    "newest": shape.optional(_signature),
    "answers": shape.optional(shape.digest),
    "at": shape.instant,
    "signer": shape.did,
    "key_id": shape.text,
}
"""How each member is read. The names are the members of a head, besides `typ`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamHead:
    """What one party says of a stream. Members as on the wire.

    Attributes:
        stream: `ledger.receipts.stream_id` of provider, consumer and agreement.
        count: How many receipts it knows of: the newest has this number less one.
        head: Id of the newest, `FIRST` where there is none.
        newest: The provider's signature over the newest, base64url; None where
            there is none, or where it was erased.
        answers: Hash of the head that this one answers; None if it begins.
        at: When it was said, RFC 3339 UTC to the second, by the signer's clock.
        signer: DID of the provider or the consumer.
        key_id: Id of the key that signs.
    """

    provider: str
    consumer: str
    agreement: str
    stream: str
    count: int
    head: str
    newest: str | None
    answers: str | None
    at: str
    signer: str
    key_id: str

    def __post_init__(self) -> None:
        """Check every value, then the laws between them."""
        shape.well_formed(self, _READERS, self._laws, "a head")

    def _laws(self) -> tuple[tuple[object, str], ...]:
        stream = stream_id(
            provider=self.provider, consumer=self.consumer, agreement=self.agreement
        )
        parties = (self.provider, self.consumer)
        return (
            (self.stream == stream, "the stream is not that of its parties"),
            ((self.count == 0) == (self.head == FIRST), "count and newest disagree"),
            (self.count or self.newest is None, "nothing is signed"),
            (self.provider != self.consumer, "one party is both"),
            (self.signer in parties, "the signer is no party"),
            (self.key_id.startswith(self.signer + "#"), "the key is another's"),
        )

    @property
    def place(self) -> Place:
        """Return how far the stream is known."""
        return Place(self.count, self.head)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object, every member present."""
        core = {field.name: getattr(self, field.name) for field in fields(self)}
        return core | {"typ": TYPE}

    @property
    def digest(self) -> str:
        """Return the hash by which an answer names this head, 64 hex digits."""
        return sha256(_signed_bytes(self)).hex()


def parse_head(value: object) -> StreamHead:
    """Read a head from its JSON object.

    Raises:
        Malformed: A member is missing, unknown or wrong, or a law is broken.
    """
    core = dict(shape.members(value, {"typ", *_READERS}, "head"))
    shape.constant(core.pop("typ"), TYPE, "typ")
    return StreamHead(**core)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHead:
    """A head with its signer's signature, which is not yet verified."""

    head: StreamHead
    signature: bytes

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that carries it in messages and files."""
        return {"head": self.head.to_json(), "signature": b64u(self.signature)}


def parse_signed_head(value: object) -> SignedHead:
    """Read a signed head.

    Raises:
        Malformed: A member is missing, unknown or wrong.
    """
    found = shape.members(value, {"head", "signature"}, "signed head")
    return SignedHead(
        head=parse_head(found["head"]),
        signature=shape.octets(64)(found["signature"], "signature"),
    )


def sign_head(head: StreamHead, key: Signer) -> SignedHead:
    """Sign a head, with the key that it names."""
    if head.key_id != key.key_id(head.signer):
        raise ValueError("the head names another key")
    return SignedHead(head=head, signature=key.sign(_signed_bytes(head)))


def verify_head(signed: SignedHead, signer: Participant) -> None:
    """Check who signed a head.

    Args:
        signed: The head, as parsed.
        signer: Who is said to have signed, as *pinned*.

    Raises:
        InvalidSignature: Not signed, signed by or said to be by another key, or
            the head is another participant's.
    """
    if signed.head.signer != signer.did:
        raise InvalidSignature("said to be signed by another participant")
    key = signer.verifier(signed.head.key_id)
    key.verify(_signed_bytes(signed.head), signed.signature)


def shows(head: StreamHead, newest: SignedReceipt) -> bool:
    """Tell whether a head shows a signed receipt as the newest it knows of."""
    return (
        head.stream == newest.receipt.stream
        and head.place == Place(newest.receipt.sequence + 1, newest.receipt.receipt_id)
        and head.newest == b64u(newest.signature)
    )


def denies(answer: StreamHead, newest: SignedReceipt) -> bool:
    """Tell whether a head leaves no room for a receipt of the same stream.

    It does when it knows of no receipt of that number, or ends with another one of
    it. A longer one may still hold it.
    """
    receipt = newest.receipt
    if answer.stream != receipt.stream or answer.count > receipt.sequence + 1:
        return False
    return answer.place != Place(receipt.sequence + 1, receipt.receipt_id)


Search = Generator[int, bool, int | None]
"""Yields numbers of receipts; is sent whether both sides have the same one there, or
the other side does not tell; returns the first number that differs, or None."""


def differing(ours: Place, theirs: Place, known: Sequence[int]) -> Search:
    """Search for the first receipt of a stream that two sides have differently.

    Of n numbers that both know of it asks for log2(n), rounded up, and for the last.
    That the two differ at what it returns, and agree at what was asked for before
    it, has been seen; where the other side keeps to the law of a stream, no earlier
    one differs.

    Args:
        ours: How far we know the stream.
        theirs: What the other side's head says.
        known: Numbers of the receipts that we can compare, ascending.
    """
    shared = known[: bisect_left(known, theirs.count)]
    if not shared or ours == theirs or (yield shared[-1]):
        return None
    low, high = 0, len(shared) - 1
    while low < high:
        middle = (low + high) // 2
        if (yield shared[middle]):
            low = middle + 1
        else:
            high = middle
    return shared[low]


def _signed_bytes(head: StreamHead) -> bytes:
    return tagged(_THING, canonical(head.to_json()))
