"""The server's own check of a receipt, and the chain's answer.

The same library that a third party would use (`ledger.verify`), with the keys
this dashboard has pinned. Its steps are told as the lines that the browser fills
in too, so that both can be laid side by side:

    record      receipt, disclosure, plan, answer
    log         inclusion, checkpoint
    signature   provider_signature, countersignature
    anchor      consistency, anchor, chain
    snapshot    snapshot, of an allowed call (`dashboard.snapshots`)

and, where the evidence tells, as lines that only the server fills in:

    request     request_signature
    witnesses   witnesses
    keys        keys

A line is as weak as its weakest step, the whole as its weakest line.
"""

import datetime
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from crypto.errors import Malformed
from dashboard import proofs
from dashboard.figures import epsilon
from dashboard.i18n import Speech
from dashboard.registry import Registry
from dashboard.snapshots import committed, numbers, snapshot_step
from ledger.errors import ChainUnavailable
from ledger.evidence import parse_evidence, parse_place
from ledger.ports import ChainReader
from ledger.receipts import Receipt
from ledger.registry import Registry as KeyRegistry
from ledger.steps import State, Step, verdict
from ledger.verify import verify_evidence

LINES: Final[Mapping[str, Sequence[str]]] = {
    "record": ("receipt", "disclosure", "plan", "answer"),
    "log": ("inclusion", "checkpoint"),
    "signature": ("provider_signature", "countersignature"),
    "anchor": ("consistency", "anchor", "chain"),
    "snapshot": ("snapshot",),
    "request": ("request_signature",),
    "witnesses": ("witnesses",),
    "keys": ("keys",),
}
_ALWAYS: Final = ("record", "log", "signature", "anchor")
_TOLD: Final = ("request", "witnesses", "keys")
"""Lines that are there only where the evidence tells something of them."""
_FIRST: Final = (
    *("at", "provider", "consumer", "dataset", "fields", "where", "purpose"),
    *("step", "plan", "spent"),
    *("decision", "denials", "customers", "records", "statement", "snapshot"),
)
"""Members that a reader looks for; the others follow in the record's order."""
_OF_A_STEP: Final = frozenset({"plan", "step", "spent"})
_OF_A_QUERY: Final = frozenset(
    {"where", "customers", "records", "withheld", "statement", "snapshot"}
)
"""What says nothing about a call of the other kind, and is not told of it."""
_NAMES: Final = {State.NOT_CHECKED: "stated"}
"""What pages call a state, where it is not its own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the check.

    Attributes:
        state: `checked`, `pending`, `stated` (by the node only) or `failed`.
        words: What came out, in the reader's language.
    """

    name: str
    state: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What the server found.

    Attributes:
        facts: Members of the record, empty unless hash and signature hold.
        record: The record's canonical bytes as text; empty likewise.
    """

    verdict: str
    lines: tuple[Line, ...]
    facts: tuple[tuple[str, str], ...]
    record: str


def check_on_server(
    answer: Mapping[str, Any],
    receipt_id: str,
    *,
    registry: Registry,
    chain: ChainReader | None,
    keys: KeyRegistry | None,
    speech: Speech,
    grants: proofs.Grants,
) -> Checked:
    """Check what the node handed out for a receipt.

    Args:
        answer: The audit API's evidence, not trusted.
        receipt_id: What was asked for; the record must hash to it.
        registry: The dashboard's own pins.
        chain: Asks the chain, or None: then the anchor is only stated.
        keys: Asks the registry on the chain, or None: then since when keys held is
            only stated.
        speech: The language of the words.
        grants: Units of what was to be proved, as the node states them.
    """
    steps, receipt = _checked(answer, receipt_id, registry, chain, keys)
    lines = tuple(_line(name, steps, speech) for name in _ALWAYS)
    if steps[-1].name == "snapshot":
        lines += (_snapshot_line(steps[-1], answer, speech),)
    here = {step.name for step in steps}
    told = (name for name in _TOLD if not here.isdisjoint(LINES[name]))
    lines += tuple(_line(name, steps, speech) for name in told)
    states = {line.name: line.state for line in lines}
    signed = states["signature"] in {"checked", "pending"}
    if not signed or "failed" in states.values():
        receipt = None
    return Checked(
        verdict=_name(verdict(steps)),
        lines=lines,
        facts=_facts(receipt, speech, grants) if receipt else (),
        record=receipt.canonical().decode() if receipt else "",
    )


def file_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence file within the audit API's answer."""
    beside = {"canonical", "committed"}
    return {name: value for name, value in answer.items() if name not in beside}


def ask_chain(
    answer: Mapping[str, Any],
    registry: Registry,
    chain: ChainReader | None,
    speech: Speech,
    *,
    of_snapshot: bool = False,
) -> dict[str, Any]:
    """Ask the chain what the provider's pinned account anchored.

    Args:
        answer: The audit API's evidence, not trusted.
        registry: The dashboard's own pins.
        chain: The chain to ask, or None.
        speech: Writes the time of the anchor.
        of_snapshot: Ask for the anchor of the snapshot, not of the receipt.

    Returns:
        A JSON object: `state` is `held`, `absent`, `unavailable` (no answer),
        `unasked` (no chain) or `unreadable` (no anchor to ask for); with an
        answer also `commitment` (hex or None), `at` (when, or None), `epoch`,
        `member`, `chain_id` and `contract`, all of the account and contract
        that were asked, not of those that the evidence names.
    """
    if chain is None:
        return {"state": "unasked"}
    try:
        evidence = parse_evidence(json.dumps(file_of(answer)).encode())
        told = committed(answer) or {}
        place = parse_place(told.get("snapshot_place")) if of_snapshot else evidence
    except Malformed:
        return {"state": "unreadable"}
    provider = registry.find(evidence.signed.receipt.provider)
    if provider is None or place.anchor is None:
        return {"state": "unreadable"}
    member, epoch = provider.chain_address, place.anchor.epoch
    try:
        held, at = chain.commitment(member, epoch), chain.anchored_at(member, epoch)
        asked = {"chain_id": chain.chain_id, "contract": chain.contract}
    except ChainUnavailable:
        return {"state": "unavailable"}
    return asked | {
        "state": "held" if held else "absent",
        "commitment": held.hex() if held else None,
        "at": _time(at, speech),
        "epoch": epoch,
        "member": member,
    }


def _checked(
    answer: Mapping[str, Any],
    receipt_id: str,
    registry: Registry,
    chain: ChainReader | None,
    keys: KeyRegistry | None,
) -> tuple[tuple[Step, ...], Receipt | None]:
    """Return every step, and the receipt unless it is another one, or none."""
    data = json.dumps(file_of(answer)).encode()
    steps = verify_evidence(
        data, registry.pins, chain, registry=keys, receipt_id=receipt_id
    )
    if steps[0].state is not State.CHECKED:
        return steps, None
    receipt = parse_evidence(data).signed.receipt
    steps = tuple(step for step in steps if step.name != "snapshot")
    if receipt.snapshot:
        provider = registry.find(receipt.provider)
        steps += (snapshot_step(answer, receipt, provider, chain),)
    return steps, receipt


def _line(name: str, steps: Sequence[Step], speech: Speech) -> Line:
    own = [step for step in steps if step.name in LINES[name]]
    if not own:  # the evidence did not parse, so there was nothing to look at
        return Line(name=name, state="stated", words=str(speech.say("check.skipped")))
    weakest = verdict(own)
    space = "" if speech.language == "zh" else " "
    words = space.join(
        step.words[speech.language] for step in own if step.state is weakest
    )
    if name == "witnesses" and weakest is State.CHECKED:
        words = f"{words} {own[0].detail}"
    return Line(name=name, state=_name(weakest), words=words)


def _snapshot_line(step: Step, answer: Mapping[str, Any], speech: Speech) -> Line:
    line = _line("snapshot", (step,), speech)
    said = [line.words]
    if step.state is State.CHECKED and step.detail:
        at = datetime.datetime.fromisoformat(step.detail)
        said.append(speech.say("check.snapshot.at", at=speech.instant(at)))
    if step.state is not State.FAILED and (found := numbers(answer)):
        own, newest = found
        said.append(speech.say("check.snapshot.older", own=own, n=newest))
    space = "" if speech.language == "zh" else " "
    return replace(line, words=space.join(said))


def _time(seconds: int | None, speech: Speech) -> str | None:
    if seconds is None:
        return None
    try:
        return speech.instant(datetime.datetime.fromtimestamp(seconds, datetime.UTC))
    except (ValueError, OverflowError, OSError):  # a chain can say any number
        return None


def _name(state: State) -> str:
    return _NAMES.get(state, state.value)


def _facts(
    receipt: Receipt, speech: Speech, grants: proofs.Grants
) -> tuple[tuple[str, str], ...]:
    core = receipt.to_json()
    unsaid = {"typ", *(_OF_A_QUERY if receipt.step else _OF_A_STEP)}
    members = (*_FIRST, *(name for name in core if name not in _FIRST))
    told = {name: _text(core[name]) for name in members if name not in unsaid}
    if receipt.step:
        told["spent"] = f"ε {epsilon(receipt.spent)}"
    if receipt.where:
        asked = proofs.asked(speech, receipt.where, grants)
        allowed = receipt.decision == "allow"
        counts = receipt.records, receipt.withheld
        told["where"] = proofs.sentence(speech, asked, *counts) if allowed else asked
    return tuple(told.items())


def _text(value: object) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return " · ".join(str(item) for item in value.values())
    return str(value)
