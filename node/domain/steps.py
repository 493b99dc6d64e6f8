"""A step of a plan as one message: a JSON header, and octets behind it.

Lists of points and ciphertexts have megabytes, so they are not written as JSON. A
message is the header's length in four octets, the header, and the payload; the header
names the payload's hash, so that who signs the header signs both.

Spec: `docs/protocols/plans.md`, section "Messages".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NoReturn, TypeAlias

from crypto.encoding import canonical, check_depth, parse_json, sha256
from crypto.errors import Malformed
from ledger import shape
from ledger.plans import SignedPlan, parse_signed_plan
from ledger.receipts import request_hash
from node.domain.acknowledged import NOTHING, Acknowledged, parse_stream
from node.domain.disclosure import Request
from node.errors import BadRequest

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._%-]{0,127}")
_STEP: Final = re.compile(r"[a-z][a-z-]{0,31}")
_MEMBERS: Final = {
    *("agreement", "purpose", "plan", "step", "arguments", "payload", "stream"),
}
MOST_HEADER: Final = 2**20
MEDIA: Final = "application/octet-stream"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """What an asker sends to have one step done.

    Attributes:
        dataset: From the address.
        arguments: The step's own members.
        payload: SHA-256 of the octets behind the header, 64 hex digits.
        stream: The newest receipt that the asker holds, and what it signs back.
        hash: That the caller's token must be bound to, 64 hex digits.
    """

    dataset: str
    agreement: str
    purpose: str
    plan: SignedPlan
    step: str
    arguments: Mapping[str, Any]
    payload: str
    stream: Acknowledged = NOTHING
    hash: str = field(init=False, compare=False)

    customers: ClassVar[tuple[bytes, ...]] = ()
    where: ClassVar[tuple[Any, ...]] = ()
    hidden: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        """Compute the hash once."""
        object.__setattr__(self, "hash", request_hash(self.dataset, self.header()))

    @property
    def fields(self) -> tuple[str, ...]:
        """Return the fields that the plan uses, sorted."""
        return self.plan.plan.fields

    @property
    def last(self) -> tuple[int, str] | None:
        """Return number and id of the newest receipt that the asker holds."""
        return self.stream.last

    @property
    def countersignatures(self) -> tuple[tuple[str, bytes], ...]:
        """Return the asker's signatures over receipts before, by their ids."""
        return self.stream.countersignatures

    def header(self) -> dict[str, Any]:
        """Return the JSON header."""
        return {
            "agreement": self.agreement,
            "purpose": self.purpose,
            "plan": self.plan.to_json(),
            "step": self.step,
            "arguments": dict(self.arguments),
            "payload": self.payload,
            "stream": self.stream.to_json(),
        }

    @classmethod
    def from_header(cls, dataset: str, header: Any, payload: bytes) -> "StepRequest":
        """Read a step.

        Raises:
            BadRequest: Naming what is wrong.
        """
        try:
            found = shape.members(header, _MEMBERS, "header")
            for name in ("agreement", "purpose"):
                if not _ID.fullmatch(shape.text(found[name], name)):
                    _refuse(f"`{name}` must be an identifier.")
            if not _STEP.fullmatch(shape.text(found["step"], "step")):
                _refuse("`step` must be the name of a step, like exchange.")
            if found["payload"] != sha256(payload).hex():
                _refuse("`payload` must be the hash of the octets behind the header.")
            return cls(
                dataset=dataset,
                agreement=found["agreement"],
                purpose=found["purpose"],
                plan=parse_signed_plan(found["plan"]),
                step=found["step"],
                arguments=shape.mapping(found["arguments"], "arguments"),
                payload=found["payload"],
                stream=parse_stream(found["stream"]),
            )
        except Malformed as error:
            _refuse(f"{error}.")


Call: TypeAlias = Request | StepRequest
"""What is decided and leaves a receipt."""


def framed(header: Mapping[str, Any], payload: bytes) -> bytes:
    """Return a message of a header and octets."""
    written = canonical(header)
    return b"".join((len(written).to_bytes(4, "big"), written, payload))


def unframed(message: bytes) -> tuple[Any, bytes]:
    """Return header and octets of a message.

    Raises:
        Malformed: It has no header, or one that is too long, too deep or no JSON.
    """
    size = int.from_bytes(message[:4], "big")
    header = message[4 : 4 + size]
    if not 0 < size <= MOST_HEADER or len(header) < size:
        raise Malformed("a message without a header of its length")
    check_depth(header)
    return parse_json(header), message[4 + size :]


def _refuse(detail: str) -> NoReturn:
    raise BadRequest("request.malformed", detail)
