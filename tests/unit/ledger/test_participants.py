"""The consortium's registry: what can be pinned, and what never."""

from typing import Any

import pytest

from crypto.encoding import b64u
from crypto.errors import Malformed
from ledger.participants import parse_participant, pins_of
from tests.unit.ledger import samples

RECORD: dict[str, Any] = samples.PROVIDER_RECORD.to_json()
IDENTITY = (1).to_bytes(32, "little")
NOT_REDUCED = (2**255 - 1).to_bytes(32, "little")


@pytest.mark.parametrize("public", [IDENTITY, NOT_REDUCED, bytes(32)])
def test_a_key_that_anybody_can_sign_for_is_not_pinned(public: bytes) -> None:
    keys = RECORD["keys"] | {"ed25519": b64u(public)}
    with pytest.raises(Malformed, match="small order"):
        parse_participant(RECORD | {"keys": keys})


def test_of_two_records_for_one_company_neither_is_believed() -> None:
    other = RECORD | {"url": "http://127.0.0.1:9"}
    for records in ([RECORD, RECORD], [RECORD, other]):
        with pytest.raises(Malformed, match="twice"):
            pins_of(records)
