"""`consortium`: the registry of participants on the chain, and the chain's first block.

What changes something is a transaction of this node's own account, signed with its
secp256k1 key; no node need be running. What the contract refuses is told in its words.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from crypto.errors import CryptoError
from ledger import consortium as acts
from ledger.errors import LedgerError, Refused
from ledger.genesis import genesis as first_block
from ledger.participants import Participant, parse_participant
from ledger.registry import History, KeyChange, MembershipChange, fingerprint
from ledger.rpc_registry import RpcRegistry
from node import offline
from node.cli.output import (
    AsJson,
    Exit,
    SettingsFile,
    err,
    out,
    print_json,
    reported,
    show,
)
from node.config import load
from node.domain.agreement import render_instant
from node.domain.pinned import contradictions
from node.errors import BadRequest

app = typer.Typer(help="The consortium on its chain: founders, votes, members, keys.")


@contextmanager
def on_chain() -> Iterator[None]:
    """End with a sentence and exit code 1 where the chain or a contract says no."""
    with reported():
        try:
            yield
        except Refused as error:
            _end("registry.refused", error)
        except LedgerError as error:
            _end("chain.unavailable", error)
        except CryptoError as error:
            _end("input.malformed", error)


def _end(code: str, error: Exception) -> None:
    err.print(f"[red]✗ {code}[/red]")
    err.print(f"{error}.", markup=False)
    raise typer.Exit(Exit.ERROR) from error


@app.command("create")
def create(
    settings_file: SettingsFile,
    founder: Annotated[
        list[Path] | None,
        typer.Option(help="Participant record of a first member; may be repeated."),
    ] = None,
    operator: Annotated[
        str, typer.Option(help="Address that alone decides about membership.")
    ] = "",
    majority: Annotated[
        int | None,
        typer.Option(help="Percent of members that a vote must exceed, 50 to 99."),
    ] = None,
    chain: Annotated[
        str, typer.Option(help="JSON-RPC address; the settings' own if left out.")
    ] = "",
) -> None:
    """Create the registry of a consortium, once, and print its address.

    Members decide by more than half of their votes, or by more than `--majority`
    percent; or an operator decides alone. It cannot be changed afterwards. Where the
    registry of the settings is on the chain already, nothing is created.
    """
    if operator and majority is not None:
        raise typer.BadParameter("give an operator or a majority, not both")
    with on_chain():
        settings = load(settings_file)
        if there := offline.registry_there(settings):
            out.print(there)
            return
        founders = [each for file in founder or () for each in _records(file)]
        with offline.account(settings, chain) as sender:
            made = acts.create(
                sender,
                [(each.did, each.chain_address) for each in founders],
                operator=operator or None,
                majority=0 if operator else (50 if majority is None else majority),
            )
    out.print(made)
    err.print("Write it into every member's settings, as chain.registry.")


@app.command("vote")
def vote(
    did: Annotated[str, typer.Argument(help="Whom it is about.")],
    settings_file: SettingsFile,
    account: Annotated[
        str, typer.Argument(help="Address that is to speak for it.")
    ] = "",
    expel: Annotated[
        bool, typer.Option("--expel", help="Nobody is to speak for it any more.")
    ] = False,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take such a vote of ours back.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Vote that an account speak for a company, or that a member be expelled.

    The vote that makes the majority carries it out. For a member that lost its
    account, vote for another account.
    """
    if bool(account) == expel:
        raise typer.BadParameter("name an account, or --expel")
    with on_chain():
        settings = load(settings_file)
        with offline.account(settings) as sender, offline.registry(settings) as read:
            motion = acts.vote(
                sender, read, did=did, account=account or None, in_favour=not withdraw
            )
    state = "carried" if motion.carried else "open"
    told = {"did": did, "account": account or None, "state": state}
    counts = {"votes": motion.votes, "needed": motion.needed}
    if as_json:
        print_json(told | counts)
    elif motion.carried:
        out.print(f"{did}: carried", markup=False)
    else:
        out.print(f"{did}: {motion.votes} of {motion.needed} votes", markup=False)


@app.command("keys")
def keys(settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """Register this node's own keys; those that are registered stay as they are."""
    with on_chain():
        settings = load(settings_file)
        own = offline.own_record(settings)
        with offline.account(settings) as sender, offline.registry(settings) as read:
            new = acts.register(sender, read, did=own.did, keys=own.keys)
    rows = [
        {
            "suite": suite,
            "fingerprint": fingerprint(suite, public).hex(),
            "state": "set" if suite in new else "held",
        }
        for suite, public in own.keys.items()
    ]
    if as_json:
        print_json(rows)
    else:
        show(("suite", "fingerprint", "state"), (tuple(each.values()) for each in rows))


@app.command("members")
def members(settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """List who is or was a member: account, keys held, since when, as pinned or not.

    Exit code 5 if a pin of this node differs from what the registry holds.
    """
    with on_chain():
        settings = load(settings_file)
        pins = {each.did: each for each in offline.read_registry(settings.participants)}
        with offline.registry(settings) as read:
            found = [_member(each, pins) for each in _histories(read, pins)]
    if as_json:
        print_json(found)
    else:
        show(("did", "status", "account", "since", "keys", "pins"), map(_row, found))
    if any(each["problems"] for each in found):
        raise typer.Exit(Exit.PARTIAL)


@app.command("genesis")
def genesis(
    validator: Annotated[
        list[str],
        typer.Option(help="Address of a validator's key; four or more of them."),
    ],
    chain_id: Annotated[int, typer.Option(help="Of this chain alone (EIP-155).")],
    block_period: Annotated[int, typer.Option(help="Seconds between blocks.")] = 2,
) -> None:
    """Print a genesis file for Besu with QBFT, with free gas."""
    with on_chain():
        made = first_block(validator, chain_id=chain_id, block_period_s=block_period)
    print_json(made)


def _records(file: Path) -> list[Participant]:
    """Read one participant record, or a registry file with several."""
    try:
        value = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        detail = f"{file} cannot be read as a participant record."
        raise BadRequest("participant.unusable", detail) from error
    return [parse_participant(each) for each in _several(value)]


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _histories(read: RpcRegistry, pinned: Iterable[str]) -> list[History]:
    """Read the history of all that were ever admitted, and of all that are pinned."""
    return [read.history(did) for did in dict.fromkeys((*read.dids(), *pinned))]


def _member(history: History, pins: Mapping[str, Participant]) -> dict[str, Any]:
    pinned, held = pins.get(history.did), history.now
    since: dict[str, int] = {}
    for change in history.changes:
        match change:
            case MembershipChange(at=at):
                since = {"": at}
            case KeyChange(at=at, suite=suite):
                since[suite] = at
    wrong = contradictions(pinned, history) if pinned else ()
    return {
        "did": history.did,
        "status": history.status.value,
        "account": held.account,
        "since": _time(since.get("")),
        "keys": {
            suite: {"fingerprint": name.hex(), "since": _time(since[suite])}
            for suite, name in held.keys.items()
        },
        "pinned": pinned is not None,
        "problems": list(wrong),
    }


def _time(seconds: int | None) -> str | None:
    if seconds is None:
        return None
    return render_instant(datetime.fromtimestamp(seconds, UTC))


def _row(member: Mapping[str, Any]) -> tuple[str, ...]:
    held = "\n".join(
        f"{suite} {each['fingerprint'][:16]} {each['since']}"
        for suite, each in member["keys"].items()
    )
    agrees = "as pinned" if member["pinned"] else "not pinned"
    return (
        member["did"],
        member["status"],
        member["account"] or "",
        member["since"] or "",
        held,
        "\n".join(member["problems"]) or agrees,
    )
