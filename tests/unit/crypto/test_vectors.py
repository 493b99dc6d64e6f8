"""The vectors made here are those the code would make today."""

import json

from crypto.bbs import SUITES, BbsKey, verify
from crypto.bbs.backends.pyecc import PYECC
from crypto.encoding import unb64u
from tests.vectors import generate_identities


def test_no_wire_format_of_keys_tokens_notes_or_records_has_changed() -> None:
    assert generate_identities.FILE.read_text() == generate_identities.render()


def test_the_independent_library_verifies_the_record_signatures() -> None:
    case = json.loads(generate_identities.FILE.read_text())["cases"][0]
    for name, signature in case["record_signatures"].items():
        key = BbsKey.generate(bytes.fromhex(case["secret"]), suite=SUITES[name])
        verify(
            key.public_bytes,
            unb64u(signature),
            header=b"header",
            messages=[b"one", b""],
            suite=SUITES[name],
            backend=PYECC,
        )
