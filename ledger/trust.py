"""Trust: what a reader of a file brings along. None of it comes from the file."""

from dataclasses import dataclass

from crypto.bbs import RandomBytes
from ledger.participants import Pins
from ledger.ports import ChainReader
from ledger.registry import Registry


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """Whose keys a reader knows, and whom it asks.

    Attributes:
        pins: Participants by DID, from the consortium's registry file.
        chain: Reads the consortium's anchor contract; None not to ask it.
        registry: Reads the consortium's registry of keys; None not to ask it.
        quorum: How many witnesses there must be; None to only tell.
        trust_embedded: Use the file's own records for parties that are not pinned,
            and say so.
        random_bytes: The reader's own, to check many proofs together; or None.
    """

    pins: Pins
    chain: ChainReader | None = None
    registry: Registry | None = None
    quorum: int | None = None
    trust_embedded: bool = False
    random_bytes: RandomBytes | None = None
