"""The verifier: a program that checks a file which somebody handed over.

    python -m ledger.verify FILE --registry participants.json
    fieldpact verify FILE --registry participants.json

Both are this. It needs the file, and the registry of keys that the reader trusts. It
needs no node, no database and no network: this program loads `ledger` and `crypto`,
and nothing of a node. Only where it is told a chain to ask (`--rpc`) does it open a
connection, to that address.

The last line is the verdict, in one sentence. The exit code says it to programs:

    0  every step holds; with --offline, every step that needs no chain
    1  the file, or the registry, cannot be read
    2  it was called wrongly
    4  something is false
    5  nothing is false, and not all of it was checked: the chain was not asked, a key
       is not pinned, or something does not exist yet
"""

import json
import secrets
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from enum import IntEnum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from crypto.encoding import parse_json
from crypto.errors import CryptoError
from ledger.conclusion import Verdict, conclude, sentence
from ledger.files import Unreadable, verify_file
from ledger.participants import Pins, pins_of
from ledger.steps import State, Step
from ledger.trust import Trust

MARKS: Final = {
    State.CHECKED: "✓",
    State.PENDING: "…",
    State.NOT_CHECKED: "○",
    State.FAILED: "✗",
}
"""Before each step; its state is never told by colour alone."""


class Exit(IntEnum):
    """What the end of the program means."""

    OK = 0
    ERROR = 1
    USAGE = 2
    NOT_VERIFIED = 4
    PARTIAL = 5


class Language(StrEnum):
    """What the steps are told in."""

    ENGLISH = "en"
    CHINESE = "zh"


def exit_code(verdict: Verdict, *, offline: bool) -> Exit:
    """Return the exit code of a verdict.

    Args:
        offline: Whether it was said beforehand that no chain would be asked.
    """
    match verdict:
        case Verdict.VERIFIED:
            return Exit.OK
        case Verdict.CHAIN_NOT_CHECKED if offline:
            return Exit.OK
        case Verdict.NOT_VERIFIED:
            return Exit.NOT_VERIFIED
        case _:
            return Exit.PARTIAL


def verify(
    *,
    file: Annotated[
        Path,
        typer.Argument(
            help="Evidence, a bundle of it, or a proof of fault.", show_default=False
        ),
    ],
    registry: Annotated[
        Path | None, typer.Option(help="The registry whose keys you trust.")
    ] = None,
    rpc: Annotated[str | None, typer.Option(help="JSON-RPC of the chain.")] = None,
    contract: Annotated[
        str | None, typer.Option(help="The anchor contract you trust.")
    ] = None,
    registry_contract: Annotated[
        str | None, typer.Option(help="The registry contract you trust.")
    ] = None,
    quorum: Annotated[
        int | None,
        typer.Option(min=1, help="How many witnesses must have cosigned."),
    ] = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="End with 0 though no chain was asked.")
    ] = False,
    lang: Annotated[Language, typer.Option(help="What to speak.")] = Language.ENGLISH,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a file offline: every signature, proof and anchor, each in words.

    Needs no node and no network; with --rpc and --contract it asks the chain too,
    with --registry-contract also which keys held. The last line is the verdict.
    Ends with 0 if every step holds, 4 if one is false, 5 if part was not checked.
    """
    _check_usage(
        rpc=rpc, contract=contract, registry_contract=registry_contract, offline=offline
    )
    with ExitStack() as stack:
        try:
            trust = _trust(registry, quorum)
            if rpc and contract:
                trust = _asking(stack, trust, rpc, contract, registry_contract)
            with _progress() as bars:
                task = bars.add_task(file.name, total=None)
                steps = verify_file(
                    file,
                    trust,
                    progress=lambda done, total: bars.update(
                        task, completed=done, total=total
                    ),
                )
        except (OSError, ValueError, CryptoError, Unreadable) as error:
            Console(stderr=True, highlight=False).print(
                f"✗ {_CANNOT[lang]}: {error}", markup=False
            )
            raise typer.Exit(Exit.ERROR) from error
    found = conclude(steps)
    code = exit_code(found, offline=offline)
    _print_json(steps, found, code) if as_json else _print(steps, lang)
    raise typer.Exit(code)


_CANNOT: Final = {Language.ENGLISH: "cannot be read", Language.CHINESE: "无法读取"}


def _check_usage(
    *,
    rpc: str | None,
    contract: str | None,
    registry_contract: str | None,
    offline: bool,
) -> None:
    """Refuse what would ask less than the caller believes."""
    if offline and rpc:
        message = "--offline asks no chain, and --rpc names one: choose"
    elif (rpc is None) != (contract is None):
        message = "--rpc and --contract go together: a chain, and a contract on it"
    elif registry_contract and not rpc:
        message = "--registry-contract needs --rpc and --contract"
    else:
        return
    raise typer.BadParameter(message)


def _trust(registry: Path | None, quorum: int | None) -> Trust:
    pins: Pins = {}
    if registry is not None:
        pins = pins_of(parse_json(registry.read_bytes()))
    return Trust(
        pins=pins,
        trust_embedded=registry is None,
        quorum=quorum,
        random_bytes=secrets.token_bytes,
    )


def _asking(
    stack: ExitStack, trust: Trust, rpc: str, contract: str, registry: str | None
) -> Trust:
    # Only here is anything loaded that could open a connection.
    from ledger.asking import ask_chain  # noqa: PLC0415

    return ask_chain(stack, trust, rpc, contract, registry)


def _print(steps: Sequence[Step], language: str) -> None:
    out = Console(highlight=False, soft_wrap=True)
    for step in steps:
        told = " · ".join(filter(None, (step.words[language], step.detail)))
        out.print(f"{MARKS[step.state]} {told}", markup=False)
    out.print(sentence(steps, language), markup=False)


def _print_json(steps: Sequence[Step], verdict: Verdict, code: Exit) -> None:
    told: dict[str, Any] = {
        "verdict": verdict.value,
        "exit": int(code),
        "en": sentence(steps, "en"),
        "zh": sentence(steps, "zh"),
        "steps": [step.to_json() for step in steps],
    }
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")


def _progress() -> Progress:
    """Return bars on stderr, which are gone when all is read."""
    err = Console(stderr=True, highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def main(given: Sequence[str] | None = None, *, program: str = "verify") -> None:
    """Run the program, with the words of the command line after its name."""
    app = typer.Typer(add_completion=False, pretty_exceptions_show_locals=False)
    app.command()(verify)
    app(args=None if given is None else list(given), prog_name=program)
