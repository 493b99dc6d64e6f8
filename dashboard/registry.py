"""The participants whose keys the company has pinned.

A receipt proves something only against a key that was known *before* the
receipt was looked at. The dashboard therefore reads the consortium's registry
from a file of its own. The node may well serve the same keys; they are never
taken from there, because a node that lies about a receipt would lie about the
key too.

The file is a JSON array of participant records, see `ledger.participants`.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crypto.encoding import parse_json
from crypto.errors import CryptoError
from dashboard.errors import SettingsError
from ledger.participants import Participant, Pins, pins_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """Pinned participants, and where they were read from.

    Attributes:
        pins: The participants by DID, as verifiers take them.
        source: Name of the file, for the page that shows where a key came from.
        digest: SHA-256 of the file's bytes, 64 hex digits.
    """

    pins: Pins
    source: str
    digest: str

    def find(self, did: str) -> Participant | None:
        """Return the pinned participant, or None when nobody pinned it."""
        return self.pins.get(did)

    def to_json(self) -> dict[str, Any]:
        """Return what a browser needs to check against these pins."""
        return {
            "source": self.source,
            "digest": self.digest,
            "pins": [participant.to_json() for participant in self.pins.values()],
        }


def read_registry(path: Path) -> Registry:
    """Read the consortium's registry file.

    Raises:
        SettingsError: The file is missing, is not JSON, or holds a record that
            is not a participant's.
    """
    try:
        data = path.read_bytes()
        pins = pins_of(parse_json(data))
    except OSError as error:
        message = f"registry: cannot read {path}: {error.strerror}"
        raise SettingsError(message) from error
    except CryptoError as error:
        message = f"registry: {path}: {error}"
        raise SettingsError(message) from error
    return Registry(
        pins=pins, source=path.name, digest=hashlib.sha256(data).hexdigest()
    )
