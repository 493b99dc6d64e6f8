"""What a call says of the receipts before it: the newest, and what is signed back."""

from dataclasses import dataclass
from typing import Any, Final

from crypto.encoding import b64u
from crypto.errors import Malformed
from ledger import shape

MOST_COUNTERSIGNATURES: Final = 128
"""That one call carries; others wait for the next, or go by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """The member `stream` of a call.

    Attributes:
        last: Number and id of the newest receipt of the agreement that the consumer
            holds; None when it holds none.
        countersignatures: The consumer's signatures over receipts before, by their
            ids: 64 bytes each.
    """

    last: tuple[int, str] | None = None
    countersignatures: tuple[tuple[str, bytes], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "last": self.last and {"sequence": self.last[0], "receipt": self.last[1]},
            "countersignatures": [
                {"receipt": receipt, "signature": b64u(signature)}
                for receipt, signature in self.countersignatures
            ],
        }


NOTHING: Final = Acknowledged()


def parse_stream(value: Any) -> Acknowledged:
    """Read the member `stream` of a call.

    Raises:
        Malformed: It has another form, or signs a receipt twice.
    """
    found = shape.members(value, {"last", "countersignatures"}, "stream")
    items = shape.each(_signature, most=MOST_COUNTERSIGNATURES)(
        found["countersignatures"], "countersignatures"
    )
    if len({receipt for receipt, _ in items}) != len(items):
        raise Malformed("sign each receipt once")
    last = shape.optional(_last)(found["last"], "last")
    return Acknowledged(last=last, countersignatures=items)


def _last(value: object, what: str) -> tuple[int, str]:
    found = shape.members(value, {"sequence", "receipt"}, what)
    return shape.count(found["sequence"], what), shape.digest(found["receipt"], what)


def _signature(value: object, what: str) -> tuple[str, bytes]:
    found = shape.members(value, {"receipt", "signature"}, what)
    receipt = shape.digest(found["receipt"], what)
    return receipt, shape.octets(64)(found["signature"], what)
