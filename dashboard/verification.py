"""The server's own check of a receipt, and the chain's answer.

The same library that a third party would use (`ledger.verify`), with the keys
this dashboard has pinned. Its nine steps are told as the four lines that the
browser fills in too, so that both can be laid side by side:

    record      receipt, disclosure
    log         inclusion, checkpoint
    signature   provider_signature, countersignature
    anchor      consistency, anchor, chain

A line is as weak as its weakest step, the whole as its weakest line.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from crypto.errors import Malformed
from dashboard.i18n import Speech
from dashboard.registry import Registry
from ledger.errors import ChainUnavailable
from ledger.evidence import parse_evidence
from ledger.ports import ChainReader
from ledger.steps import State, Step, verdict
from ledger.verify import verify_evidence

LINES: Final[Mapping[str, Sequence[str]]] = {
    "record": ("receipt", "disclosure"),
    "log": ("inclusion", "checkpoint"),
    "signature": ("provider_signature", "countersignature"),
    "anchor": ("consistency", "anchor", "chain"),
}
_FIRST: Final = (
    *("at", "provider", "consumer", "dataset", "fields", "purpose"),
    *("decision", "denials", "customers", "records"),
)
"""Members that a reader looks for; the others follow in the record's order."""
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
    registry: Registry,
    chain: ChainReader | None,
    speech: Speech,
) -> Checked:
    """Check what the node handed out for a receipt.

    Args:
        answer: The audit API's evidence, not trusted.
        receipt_id: What was asked for; the record must hash to it.
        registry: The dashboard's own pins.
        chain: Asks the chain, or None: then the anchor is only stated.
        speech: The language of the words.
    """
    data = json.dumps(file_of(answer)).encode()
    steps = verify_evidence(data, registry.pins, chain, receipt_id=receipt_id)
    lines = tuple(_line(name, steps, speech) for name in LINES)
    states = {line.name: line.state for line in lines}
    signed = states["signature"] in {"checked", "pending"}
    sound = signed and "failed" not in states.values()
    receipt = parse_evidence(data).signed.receipt if sound else None
    return Checked(
        verdict=_name(verdict(steps)),
        lines=lines,
        facts=_facts(receipt.to_json()) if receipt else (),
        record=receipt.canonical().decode() if receipt else "",
    )


def file_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return the evidence file within the audit API's answer."""
    return {name: value for name, value in answer.items() if name != "canonical"}


def ask_chain(
    answer: Mapping[str, Any], registry: Registry, chain: ChainReader | None
) -> dict[str, Any]:
    """Ask the chain what the provider's pinned account anchored.

    Returns:
        A JSON object: `state` is `held`, `absent`, `unavailable` (no answer),
        `unasked` (no chain) or `unreadable` (no anchor to ask for); with an
        answer also `commitment` (hex or None), `epoch`, `member`,
        `chain_id` and `contract`, all of the account and contract that were
        asked, not of those that the evidence names.
    """
    if chain is None:
        return {"state": "unasked"}
    try:
        evidence = parse_evidence(json.dumps(file_of(answer)).encode())
    except Malformed:
        return {"state": "unreadable"}
    provider = registry.find(evidence.signed.receipt.provider)
    if provider is None or evidence.anchor is None:
        return {"state": "unreadable"}
    epoch = evidence.anchor.epoch
    try:
        held = chain.commitment(provider.chain_address, epoch)
        asked = {"chain_id": chain.chain_id, "contract": chain.contract}
    except ChainUnavailable:
        return {"state": "unavailable"}
    return asked | {
        "state": "held" if held else "absent",
        "commitment": held.hex() if held else None,
        "epoch": epoch,
        "member": provider.chain_address,
    }


def _line(name: str, steps: Sequence[Step], speech: Speech) -> Line:
    own = [step for step in steps if step.name in LINES[name]]
    if not own:  # the evidence did not parse, so there was nothing to look at
        return Line(name=name, state="stated", words=str(speech.say("check.skipped")))
    weakest = verdict(own)
    space = "" if speech.language == "zh" else " "
    words = space.join(
        step.words[speech.language] for step in own if step.state is weakest
    )
    return Line(name=name, state=_name(weakest), words=words)


def _name(state: State) -> str:
    return _NAMES.get(state, state.value)


def _facts(core: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    others = [name for name in core if name not in {"typ", *_FIRST}]
    return tuple((name, _text(core[name])) for name in (*_FIRST, *others))


def _text(value: object) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    if isinstance(value, dict):
        return " · ".join(str(item) for item in value.values())
    return str(value)
