"""Ask: query a partner's node, check its answer, keep it, countersign.

The answer is believed only after `ledger.verify` has checked it against what was
asked and against the keys pinned for the provider. A refusal is checked and kept
as well: its receipt shows that the partner refused, and why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crypto.encoding import b64u
from crypto.errors import CryptoError
from crypto.tokens import customer_token
from ledger.receipts import (
    SignedReceipt,
    Signer,
    countersign,
    parse_signed_receipt,
    request_hash,
)
from node.domain.disclosure import Request
from node.domain.negotiation import Role
from ledger.participants import Participant
from node.errors import BadRequest, NotFound, Unavailable
from node.ports import Clock, Identity, Peers, Randomness, Received, Store
from node.services.align import Align


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back, after our own checks.

    Attributes:
        receipt_id: The provider's receipt of the call.
        allowed: Whether anything was disclosed.
        denials: Codes and messages of a refusal, as the provider put them.
        customers: For each customer asked, its records' fields, or None when
            it is not shared.
        checks: Name and outcome of each check, in order.
    """

    receipt_id: str
    allowed: bool
    denials: Sequence[Mapping[str, Any]]
    customers: Mapping[str, Sequence[Mapping[str, Any]] | None]
    verified: bool
    checks: Sequence[Mapping[str, str]]
