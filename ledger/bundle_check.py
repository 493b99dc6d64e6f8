"""Verification of a bundle: is each call so, and are these all of them?

Reads the file once, line by line, and keeps nothing of an entry but its number and
its id. Every entry goes through the steps of evidence (`ledger.verify`); what entries
have in common, a checkpoint and its anchor, is looked at once. Each step is told
once, as it came out for the weakest entry, with how many there are like it.

Two steps are of the file as a whole: `manifest`, who made it and signed what it
holds, and `complete`: no number is missing, each receipt names the one before, and
the ends are where the manifest says.

Spec: `docs/protocols/evidence.md`, section "Bundles".
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final, TypeAlias

from crypto.encoding import parse_json
from crypto.errors import Malformed
from ledger.bundle import (
    LONGEST,
    Erased,
    Line,
    Manifest,
    Parties,
    SignedManifest,
    Under,
    parse_first,
    parse_line,
    verify_manifest,
)
from ledger.completeness import Completeness
from ledger.evidence import Evidence
from ledger.steps import Outcome, State, Step, run, step
from ledger.streams import verify_head
from ledger.trust import Trust
from ledger.verify import Check, checks_of

Told: TypeAlias = Callable[[int, int | None], None]
"""Is told how many entries were checked so far, and of how many if that is known."""

_SHARED: Final = frozenset(
    {"checkpoint", "consistency", "anchor", "chain", "witnesses"}
)
"""Steps that come out alike for all entries under one checkpoint."""
_EVERY: Final = 256


def verify_bundle(
    first: bytes, lines: BinaryIO, trust: Trust, *, progress: Told | None = None
) -> tuple[Step, ...]:
    """Check a bundle of evidence.

    1. `manifest`: it parses, and the exporter, a party, signed it with a pinned key.
    2. Every step of `verify_evidence` that an entry has: of all entries, the weakest.
    3. `complete`: the receipts are all from the first number to the last.

    Args:
        first: The first line.
        lines: The rest of the file, read to its end.
        trust: The reader's own.
        progress: Told now and then how many entries were checked.
    """
    try:
        signed = parse_first(parse_json(first))
    except Malformed as error:
        return (step("manifest", "failed", str(error)),)
    check = _Check(manifest=signed.manifest, trust=trust)
    for line in _lines(lines):
        check.take(line)
        if progress is not None and check.complete.taken % _EVERY == 0:
            progress(check.complete.taken, signed.manifest.count)
    if progress is not None:
        progress(check.complete.taken, signed.manifest.count)
    return (
        run("manifest", lambda: _signed(signed, check.parties, trust)),
        *check.tallies.steps(),
        run("complete", check.complete.outcome),
    )


def _lines(lines: BinaryIO) -> Iterator[Line | Malformed]:
    """Read line after line; of one that is out of form, tell what is wrong with it."""
    parties, under, number = Parties(), None, 1
    while data := lines.readline(LONGEST):
        number += 1
        try:
            found = parse_line(_whole(data), parties, under)
        except Malformed as error:
            yield Malformed(f"line {number}: {error}")
            continue
        if isinstance(found, Parties):
            parties = found
        elif isinstance(found, Under):
            under = found
        yield found


def _whole(data: bytes) -> object:
    if not data.endswith(b"\n"):
        raise Malformed("too long, or cut off")
    return parse_json(data)


def _steps(
    checks: Mapping[str, Check], entry: Evidence, shared: dict[str, Step]
) -> Iterator[Step]:
    """Run the checks of an entry; those that it shares with others, once."""
    within = entry.inclusion is not None
    for name, check in checks.items():
        key = _keys_used(entry) if name == "keys" else name
        if within and (name in _SHARED or name == "keys"):
            if key not in shared:
                shared[key] = run(name, check)
            yield shared[key]
        else:
            yield run(name, check)


def _keys_used(entry: Evidence) -> str:
    """Return what tells apart entries under one checkpoint that use different keys.

    Requests are not told apart by key before they are read: their signature says.
    """
    back = entry.countersignature
    header = (entry.request or "").partition(".")[0]
    return " ".join(
        ("keys", entry.signed.receipt.key_id, back.key_id if back else "", header)
    )


def _signed(signed: SignedManifest, parties: Parties, trust: Trust) -> Outcome:
    did = signed.manifest.exporter
    exporter, outcome = trust.pins.get(did), "checked"
    if exporter is None and trust.trust_embedded:
        outcome = "embedded"
        exporter = next((one for one in parties.participants if one.did == did), None)
    if exporter is None:
        return "unknown", did
    verify_manifest(signed, exporter)
    verify_head(signed.manifest.head, exporter)
    return outcome, signed.manifest.key_id


@dataclass(slots=True, kw_only=True)
class _Tally:
    """How one step came out, of all entries so far."""

    total: int = 0
    weakest: Step | None = None
    alike: int = 0
    number: int | None = None
    counts: set[str] = field(default_factory=set)

    def add(self, found: Step, number: int | None) -> None:
        strength = list(State)
        self.total += 1
        if self.weakest is None or strength.index(found.state) < strength.index(
            self.weakest.state
        ):
            self.weakest, self.alike, self.number = found, 0, number
        self.alike += found.state is self.weakest.state
        if found.name == "witnesses":  # so many of so many: there are few of them
            self.counts.add(found.detail)

    def step(self) -> Step:
        """Return the weakest, and how many there are like it."""
        if self.weakest is None:
            raise ValueError("nothing was added")
        told = [f"{self.alike} / {self.total}"]
        if self.weakest.state is State.CHECKED and self.counts:
            told.append(", ".join(sorted(self.counts)))
        if self.weakest.state is not State.CHECKED and self.number is not None:
            told.append(f"first at number {self.number}")
        if self.weakest.state is not State.CHECKED and self.weakest.detail:
            told.append(self.weakest.detail)
        return step(self.weakest.name, self.weakest.outcome, ": ".join(told))


@dataclass(slots=True, kw_only=True)
class _Tallies:
    """How each step came out, in the order in which steps were first met."""

    by_name: dict[str, _Tally] = field(default_factory=dict)

    def add(self, found: Step, number: int | None = None) -> None:
        self.by_name.setdefault(found.name, _Tally()).add(found, number)

    def steps(self) -> Iterator[Step]:
        return (tally.step() for tally in self.by_name.values())


class _Check:
    """What is known of a file, as far as it was read."""

    def __init__(self, *, manifest: Manifest, trust: Trust) -> None:
        self.complete = Completeness(manifest=manifest)
        self.parties = Parties()
        self.tallies = _Tallies()
        self._trust = trust
        self._shared: dict[str, Step] = {}

    def take(self, line: Line | Malformed) -> None:
        """Take the next line."""
        match line:
            case Malformed():
                self.tallies.add(step("receipt", "failed", str(line)))
            case Parties():
                self.parties = line
            case Under():
                self._shared = {}
            case Erased():
                self.complete.take_erased(line.sequence, line.receipt_id)
            case Evidence():
                receipt = line.signed.receipt
                for found in _steps(checks_of(line, self._trust), line, self._shared):
                    self.tallies.add(found, number=receipt.sequence)
                self.complete.take(receipt)
            case SignedManifest():
                raise AssertionError("a manifest is the first line, and no other")
