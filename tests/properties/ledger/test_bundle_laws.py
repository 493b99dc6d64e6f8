"""Laws of bundles and requests, for whatever hypothesis thinks of."""

from itertools import accumulate

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import CryptoError
from ledger.bundle import Under, render_line
from ledger.conclusion import Verdict, conclude
from ledger.evidence import Evidence
from ledger.request import verify_request
from tests.unit.ledger import asking, bundled, samples

STORY = bundled.story()
ENTRIES = list(STORY.entries)
LINES = bundled.lines(bundled.manifest(ENTRIES, ENTRIES[-1].signed), ENTRIES)
RENDERED = [render_line(line) for line in LINES]
FILE = b"".join(RENDERED)
STARTS = list(accumulate(map(len, RENDERED), initial=0))
OWN = [at for at, line in enumerate(LINES) if isinstance(line, Evidence)]
RECEIPT = samples.receipt()
TOKEN = asking.token(RECEIPT)


def verdict(file: bytes) -> Verdict:
    return conclude(bundled.check(file, STORY.trust))


def test_the_file_is_verified_as_it_is() -> None:
    assert verdict(FILE) is Verdict.VERIFIED


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_flipped_bit_of_an_entry_or_the_manifest_survives(
    data: st.DataObject,
) -> None:
    line = data.draw(st.sampled_from([0, *OWN]))
    place = STARTS[line] + data.draw(st.integers(0, len(RENDERED[line]) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    flipped = FILE[:place] + bytes([FILE[place] ^ bit]) + FILE[place + 1 :]
    assert verdict(flipped) is not Verdict.VERIFIED


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(OWN), min_size=1))
def test_whichever_receipts_are_left_out_it_is_seen(gone: set[int]) -> None:
    rest = [line for at, line in enumerate(RENDERED) if at not in gone]
    assert verdict(b"".join(rest)) is Verdict.NOT_VERIFIED


@settings(max_examples=40, deadline=None)
@given(st.permutations(OWN))
def test_in_whichever_other_order_they_stand_it_is_seen(order: list[int]) -> None:
    under = [at for at, line in enumerate(LINES) if isinstance(line, Under)]
    moved = [RENDERED[at] for at in (0, 1, under[-1], *order)]
    if order != OWN:
        assert verdict(b"".join(moved)) is Verdict.NOT_VERIFIED


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300), st.integers(0, len(RENDERED)))
def test_whatever_stands_between_the_lines_it_comes_to_a_verdict(
    junk: bytes, at: int
) -> None:
    file = b"".join([*RENDERED[:at], junk, *RENDERED[at:]])
    assert verdict(file) in Verdict


@given(st.binary(max_size=300))
def test_whatever_is_no_bundle_has_one_step(data: bytes) -> None:
    [step] = bundled.check(data, STORY.trust)
    assert (step.name, step.outcome) == ("manifest", "failed")


@given(st.integers(0, len(TOKEN) - 1), st.characters(max_codepoint=127))
def test_a_request_in_which_one_character_is_another_shows_nothing(
    place: int, character: str
) -> None:
    changed = TOKEN[:place] + character + TOKEN[place + 1 :]
    if changed == TOKEN:
        return
    with pytest.raises(CryptoError):
        verify_request(changed, RECEIPT, samples.CONSUMER_RECORD)


@given(st.text(max_size=200) | st.from_regex(r"[\w-]+\.[\w-]+\.[\w-]+", fullmatch=True))
def test_whatever_text_is_no_request_is_refused(text: str) -> None:
    with pytest.raises(CryptoError):
        verify_request(text, RECEIPT, samples.CONSUMER_RECORD)
