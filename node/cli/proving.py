"""`evidence`, `compare`, `replay`, `conformance`: showing and checking.

`verify` is not here: it is the ledger's own program (`ledger.verifier`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from crypto.bbs import SUITES
from crypto.errors import CryptoError
from ledger.contradiction import Contradiction, contradictions
from ledger.evidence import parse_evidence
from ledger.participants import pins_of
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
from node.domain.decision import AFTER_POLICY

if TYPE_CHECKING:
    from crypto.conformance import Report


def evidence(
    receipt: Annotated[str, typer.Argument(help="The receipt's id.")],
    settings_file: SettingsFile,
    open_: Annotated[
        list[str] | None,
        typer.Option(
            "--open",
            help="A customer; readers of the file then know whom its token means.",
        ),
    ] = None,
    rule: Rule = "exact",
) -> None:
    """Print all the evidence there is for a receipt, as a file to hand on."""
    api = Management.of(settings_file)
    if open_:
        opened = {"customers": [key_of(rule, each) for each in open_]}
        print_json(api.post(f"/management/receipts/{receipt}/evidence", opened))
        return
    found = api.get(f"/audit/receipts/{receipt}")
    for shown_beside in ("canonical", "committed"):
        found.pop(shown_beside)
    print_json(found)


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
