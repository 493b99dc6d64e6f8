"""Ours and @digitalbazaar/bbs-signatures: what one makes holds with the other.

Both suites, records of one message to fifty, from nothing shown to everything. What
was changed on the way is refused by both.
"""

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from crypto.bbs import SHA_256, SHAKE_256, SUITES, Suite
from dashboard.build import BuildError, find_tools
from tests.interop.sides import FOLDER, Case, Ours, Side, Theirs, running_theirs

MATERIAL = b"what both derive a key from, 32+."
SHAPES: list[tuple[int, tuple[int, ...]]] = [
    (1, ()),
    (1, (0,)),
    (5, (0, 2, 4)),
    (5, (0, 1, 2, 3, 4)),
    (20, (3, 7)),
    (20, ()),
    (50, tuple(range(0, 50, 3))),
]
CONTEXTS = [(b"header", b"for whom"), (b"", b"for whom"), (b"header", b""), (b"", b"")]
PARTS = {"Abar": 0, "Bbar": 48, "D": 96, "e^": 144, "r1^": 176, "r3^": 208}

each_suite = pytest.mark.parametrize("suite", SUITES.values(), ids=list(SUITES))
each_way = pytest.mark.parametrize("from_us", [True, False], ids=["ours", "theirs"])


@pytest.fixture(scope="module")
def theirs() -> Iterator[Theirs]:
    try:
        find_tools()
    except BuildError as error:
        pytest.skip(f"the other implementation runs on Node: {error}")
    with running_theirs() as side:
        yield side


@pytest.fixture
def sides(theirs: Theirs, from_us: bool) -> tuple[Side, Side]:
    """Give the side that makes, and the one that checks."""
    return (Ours(), theirs) if from_us else (theirs, Ours())


def made(
    side: Side,
    count: int = 5,
    shown: tuple[int, ...] = (0, 2, 4),
    suite: Suite = SHA_256,
    context: tuple[bytes, bytes] = CONTEXTS[0],
) -> tuple[Case, bytes, bytes]:
    """Sign a record and show some of it: the case, signature and proof."""
    secret, public = side.keys(MATERIAL, suite)
    messages = [b"", *(f"message {n}".encode() * n for n in range(1, count))]
    header, ph = context
    case = Case(
        public=public,
        header=header,
        messages=tuple(messages),
        ph=ph,
        shown=shown,
        suite=suite,
    )
    signature = side.sign(secret, case)
    return case, signature, side.prove(signature, case)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@each_suite
def test_both_derive_the_same_key(theirs: Theirs, suite: Suite) -> None:
    assert theirs.keys(MATERIAL, suite) == Ours().keys(MATERIAL, suite)


@each_suite
@pytest.mark.parametrize("count", sorted({count for count, _ in SHAPES}))
def test_both_make_the_same_signature(theirs: Theirs, suite: Suite, count: int) -> None:
    signatures = [made(side, count, (), suite)[1] for side in (Ours(), theirs)]

    assert signatures[0] == signatures[1]


@each_way
@each_suite
@pytest.mark.parametrize(("count", "shown"), SHAPES)
def test_what_one_makes_holds_with_the_other(
    sides: tuple[Side, Side], suite: Suite, count: int, shown: tuple[int, ...]
) -> None:
    maker, checker = sides
    case, signature, proof = made(maker, count, shown, suite)

    assert len(proof) == 272 + 32 * (count - len(shown))
    assert checker.takes_signature(signature, case)
    assert checker.takes_proof(proof, case)


@each_way
@pytest.mark.parametrize("context", CONTEXTS[1:])
def test_header_and_presentation_header_may_be_empty(
    sides: tuple[Side, Side], context: tuple[bytes, bytes]
) -> None:
    maker, checker = sides
    case, signature, proof = made(maker, context=context)

    assert checker.takes_signature(signature, case)
    assert checker.takes_proof(proof, case)


@each_way
def test_the_other_refuses_a_proof_that_was_changed(sides: tuple[Side, Side]) -> None:
    maker, checker = sides
    case, _, proof = made(maker)
    places = [*PARTS.values(), *range(240, len(proof), 32)]
    changed = [flipped(proof, at + 31) for at in places]
    changed += [proof[:-32], proof[:-1], proof + bytes(1), proof + proof[-32:]]

    assert checker.takes_proof(proof, case)
    assert [bent for bent in changed if checker.takes_proof(bent, case)] == []


@each_way
def test_the_other_refuses_a_proof_in_another_setting(
    sides: tuple[Side, Side],
) -> None:
    maker, checker = sides
    case, _, proof = made(maker)
    moved = (*case.messages[:2], b"?", case.messages[2], case.messages[4])
    _, stranger = maker.keys(MATERIAL + b"!", SHA_256)
    settings = {
        "header": replace(case, header=b"Header"),
        "presentation header": replace(case, ph=b"for whom else"),
        "message": replace(case, messages=(b"?", *case.messages[1:])),
        "index": replace(case, messages=moved, shown=(0, 3, 4)),
        "one shown less": replace(case, shown=(0, 2)),
        "one shown more": replace(case, shown=(0, 1, 2, 4)),
        "key": replace(case, public=stranger),
        "suite": replace(case, suite=SHAKE_256),
    }

    assert settings["index"].named == case.named
    assert checker.takes_proof(proof, case)
    taken = [
        what for what, bent in settings.items() if checker.takes_proof(proof, bent)
    ]
    assert taken == []


@each_way
def test_the_other_refuses_a_signature_that_was_changed(
    sides: tuple[Side, Side],
) -> None:
    maker, checker = sides
    case, signature, _ = made(maker)
    _, stranger = maker.keys(MATERIAL + b"!", SHA_256)
    swapped = (case.messages[1], case.messages[0], *case.messages[2:])
    cases = [
        (flipped(signature, 47), case),
        (flipped(signature, 79), case),
        (signature[:-1], case),
        (signature + bytes(1), case),
        (signature, replace(case, header=b"")),
        (signature, replace(case, messages=swapped)),
        (signature, replace(case, messages=case.messages[:-1])),
        (signature, replace(case, public=stranger)),
        (signature, replace(case, suite=SHAKE_256)),
    ]

    assert checker.takes_signature(signature, case)
    assert [each for each in cases if checker.takes_signature(*each)] == []


def test_the_other_implementation_is_pinned_by_version_and_hash() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: each for name, each in lock["packages"].items() if name}

    assert len(packages) == 3
    for each in packages.values():
        assert each["integrity"].startswith("sha512-")
        assert "resolved" not in each
    wanted = json.loads((FOLDER / "package.json").read_text())["dependencies"]
    assert wanted == lock["packages"][""]["dependencies"]
    for name, version in wanted.items():
        assert packages[f"node_modules/{name}"]["version"] == version
