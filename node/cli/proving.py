"""`evidence`, `compare`, `replay`, `conformance`: showing and checking.

`verify` is not here: it is the ledger's own program (`ledger.verifier`).
"""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final
from urllib.parse import quote

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from crypto.bbs import SUITES
from crypto.errors import CryptoError
from ledger.contradiction import Contradiction, contradictions
from ledger.evidence import evidence_of, parse_evidence
from ledger.participants import pins_of
from ledger.tlog_proof import tlog_proof_from
from node import offline
from node.cli.asking import Rule, key_of
from node.cli.output import (
    AsJson,
    Exit,
    Management,
    SettingsFile,
    err,
    out,
    print_json,
    reported,
)
from node.config import load
from node.domain.denials import AFTER_POLICY

if TYPE_CHECKING:
    from crypto.conformance import Report


def evidence(
    settings_file: SettingsFile,
    receipt: Annotated[
        str | None, typer.Argument(help="The receipt's id.", show_default=False)
    ] = None,
    open_: Annotated[
        list[str] | None,
        typer.Option(
            "--open",
            help="A customer; readers of the file then know whom its token means.",
        ),
    ] = None,
    rule: Rule = "exact",
    agreement: Annotated[
        str | None, typer.Option(help="All receipts of this agreement, as one file.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="From this time on: 2026-11-22T18:20:00Z.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Up to this time.")] = None,
    to: Annotated[
        Path | None, typer.Option("--out", help="Write to this file, not to stdout.")
    ] = None,
    tlog_proof: Annotated[
        Path | None,
        typer.Option(help="Also write a tlog-proof of the receipt, for other tools."),
    ] = None,
) -> None:
    """Print all the evidence there is for a receipt, as a file to hand on.

    With --agreement, write every receipt of its stream with its proofs: a file that
    shows by itself that none is missing.
    """
    if (receipt is None) == (agreement is None):
        raise typer.BadParameter("name a receipt, or an --agreement")
    if agreement is None and (since or until):
        raise typer.BadParameter("--since and --until go with --agreement")
    if agreement is not None and (open_ or tlog_proof):
        raise typer.BadParameter("--open and --tlog-proof go with a receipt")
    api = Management.of(settings_file)
    if agreement is not None:
        window = {"from": since, "to": until}
        asked = {name: value for name, value in window.items() if value}
        path = f"/audit/agreements/{quote(agreement, safe='')}/evidence"
        _write_bundle(api.lines(path, asked), to)
        return
    found = _of_one(api, receipt or "", [key_of(rule, each) for each in open_ or ()])
    if tlog_proof is not None:
        _write_tlog_proof(found, tlog_proof)
    with _opened(to) as file:
        file.write((json.dumps(found, ensure_ascii=False, indent=2) + "\n").encode())


def _of_one(api: Management, receipt: str, opened: Sequence[str]) -> Any:
    """Return the evidence for one receipt, with the tokens of customers opened."""
    if opened:
        body = {"customers": opened}
        return api.post(f"/management/receipts/{receipt}/evidence", body)
    found = api.get(f"/audit/receipts/{receipt}")
    for shown_beside in ("canonical", "committed"):
        found.pop(shown_beside)
    return found


def _write_tlog_proof(found: object, to: Path) -> None:
    try:
        proof = tlog_proof_from(evidence_of(found))
    except CryptoError as error:
        err.print(f"[red]✗ there is no tlog-proof of this[/red]: {error}")
        raise typer.Exit(Exit.ERROR) from error
    to.write_text(proof.render(), encoding="utf-8")


def _write_bundle(lines: Iterator[bytes], to: Path | None) -> None:
    """Write lines as they come, and show on stderr how many receipts there were."""
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with (
        _opened(to) as file,
        Progress(
            *columns, console=err, transient=True, disable=not err.is_terminal
        ) as bars,
    ):
        task = bars.add_task("receipts", total=None)
        for number, line in enumerate(lines):
            file.write(line)
            if number == 0:
                bars.update(task, total=json.loads(line)["manifest"]["count"])
            elif line.startswith(_ENTRIES):
                bars.advance(task)


_ENTRIES: Final = (b'{"countersignature":', b'{"erased":')
"""How the lines of receipts begin: names of canonical JSON are in order."""


@contextmanager
def _opened(to: Path | None) -> Iterator[BinaryIO]:
    """Give stdout, or a file that appears whole or not at all."""
    if to is None:
        yield sys.stdout.buffer
        return
    draft = to.with_name(to.name + ".part")
    try:
        with draft.open("wb") as file:
            yield file
        draft.replace(to)
    except OSError as error:
        err.print(f"[red]✗ cannot be written[/red]: {error}")
        raise typer.Exit(Exit.ERROR) from error
    finally:
        draft.unlink(missing_ok=True)


def compare(
    one: Annotated[Path, typer.Argument(help="An evidence file, with openings.")],
    other: Annotated[Path, typer.Argument(help="Another one, of another partner.")],
    registry: Annotated[Path, typer.Option(help="The registry whose keys you trust.")],
    as_json: AsJson = False,
) -> None:
    """Find whether a provider told two partners what cannot both be so.

    Of one version of a dataset there is one truth about a customer, and a record that
    has not changed since is what it was. Both files must open the customer's token:
    `fieldpact evidence --open`.
    """
    try:
        pins = pins_of(offline.read_json(registry))
        ours, theirs = (parse_evidence(each.read_bytes()) for each in (one, other))
    except (OSError, ValueError, CryptoError) as error:
        err.print(f"[red]✗ cannot be read[/red]: {error}")
        raise typer.Exit(Exit.ERROR) from error
    try:
        found = contradictions(ours, theirs, pins, random_bytes=offline.random_bytes)
    except CryptoError as error:
        err.print(f"[red]✗ cannot be compared[/red]: {error}")
        raise typer.Exit(Exit.NOT_VERIFIED) from error
    if as_json:
        print_json([asdict(each) for each in found])
    for each in () if as_json else found:
        out.print(f"✗ {_contradiction(each)}", markup=False)
    if found:
        raise typer.Exit(Exit.NOT_VERIFIED)
    if not as_json:
        out.print("✓ both can be true")


def _contradiction(found: Contradiction) -> str:
    said = []
    if found.fields:
        said.append(f"told differently of {', '.join(found.fields)}")
    if found.versions:
        counts = " and ".join(map(str, found.records))
        since = ", ".join(map(str, found.versions))
        said.append(f"told of {counts} records, which differ in version {since}")
    return f"{found.identifier}: {'; '.join(said)}"


def replay(
    receipt: Annotated[str, typer.Argument(help="The id of a receipt of ours.")],
    settings_file: SettingsFile,
) -> None:
    """Make the decision behind a receipt again, with the policies of today.

    What the node checks only after the policies have allowed (is the customer
    shared, did the CRM answer) is not decided again.
    """
    api = Management.of(settings_file)
    core = api.get(f"/audit/receipts/{receipt}")["receipt"]
    question = api.get(f"/audit/receipts/{receipt}/question")
    with reported():
        decision = offline.decide_again(load(settings_file), question)
    same = {
        "the question": decision.input_hash == core["policy"]["input_hash"],
        "the policies": decision.revision == core["policy"]["revision"],
        "the decision": list(decision.denials) == core["denials"]
        or (decision.allow and AFTER_POLICY.issuperset(core["denials"])),
    }
    for what, unchanged in same.items():
        out.print(f"{'✓' if unchanged else '✗'} {what}: {_same(unchanged)}")
    if not same["the decision"]:
        word = "allow" if decision.allow else " ".join(decision.denials)
        said = "allow" if core["decision"] == "allow" else " ".join(core["denials"])
        out.print(f"The policies say {word}; the receipt says {said}.")
    if not same["the question"]:
        raise typer.Exit(Exit.NOT_VERIFIED)


def _same(unchanged: bool) -> str:
    return "as the receipt says" if unchanged else "not as the receipt says"


conformance = typer.Typer(help="Run a directory of official test vectors.")
_Vectors = Annotated[Path, typer.Argument(help="A directory in the official layout.")]


@conformance.command("bbs")
def bbs(
    directory: _Vectors,
    suite: Annotated[
        str, typer.Option(help="Name of the suite's folder; all that are there.")
    ] = "",
    backend: Annotated[str, typer.Option(help="arkworks or pyecc.")] = "arkworks",
) -> None:
    """Run fixtures of draft-irtf-cfrg-bbs-signatures."""
    # It brings in py_ecc, which no node needs and which takes half a second.
    from crypto.conformance import BACKENDS, run_bbs, suites_in  # noqa: PLC0415

    with _readable():
        chosen = [SUITES[suite]] if suite else suites_in(directory)
        library = BACKENDS[backend]
        reports = [run_bbs(directory, each, library) for each in chosen]
    _print(*reports)


@conformance.command("merkle")
def merkle(directory: _Vectors) -> None:
    """Run inclusion and consistency proofs of RFC 6962 and RFC 9162 trees."""
    from crypto.conformance import run_merkle  # noqa: PLC0415  # as in `bbs`

    with _readable():
        report = run_merkle(directory)
    _print(report)


@conformance.command("jcs")
def jcs(directory: _Vectors) -> None:
    """Run pairs of input and output of RFC 8785."""
    from crypto.conformance import run_jcs  # noqa: PLC0415  # as in `bbs`

    with _readable():
        report = run_jcs(directory)
    _print(report)


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, CryptoError) as error:
        err.print(f"[red]✗ vectors.unreadable[/red]: {error}")
        raise typer.Exit(Exit.ERROR) from error


def _print(*reports: "Report") -> None:
    for report in reports:
        for failure in report.failures:
            err.print(failure, markup=False)
    passed = sum(report.passed for report in reports)
    failed = sum(report.failed for report in reports)
    out.print(f"passed {passed} failed {failed}")
    if failed or not passed:
        raise typer.Exit(Exit.NOT_VERIFIED)
