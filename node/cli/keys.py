"""`keys`: make, list, rotate and revoke the keys of a node.

A rotation tells the chain first, then pins the new record here, and puts the new key
in its place last; begun again after an interruption, it goes on where it stopped. The
node reads its keys when it starts.
"""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from ledger import consortium as acts
from ledger.errors import Refused
from ledger.registry import fingerprint
from node import offline
from node.cli.company import Suite
from node.cli.consortium import on_chain
from node.cli.output import AsJson, SettingsFile, err, out, print_json, reported, show
from node.config import load

app = typer.Typer(help="The keys of a node: make, list, rotate, revoke.")
LEAST_DIGITS: Final = 8
SuiteName = Annotated[str, typer.Argument(help="ed25519, x25519, bls12381g2, …")]


@app.command("new")
def new(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
    suite: Annotated[Suite, typer.Option(help="What signs receipts.")] = Suite.ED25519,
) -> None:
    """Generate the keys of a node. Nothing secret is printed."""
    with reported():
        offline.new_keys(folder, suite.value)
    for file in sorted(folder.glob("*.key")):
        out.print(str(file), soft_wrap=True)


@app.command("list")
def listed(settings_file: SettingsFile, as_json: AsJson = False) -> None:
    """List this node's keys: their ids, and their fingerprints in the registry."""
    with reported():
        own = offline.own_record(load(settings_file))
    rows = [
        {
            "suite": suite,
            "id": own.key_id(suite),
            "fingerprint": fingerprint(suite, public).hex(),
        }
        for suite, public in own.keys.items()
    ]
    if as_json:
        print_json(rows)
    else:
        show(("suite", "id", "fingerprint"), (tuple(each.values()) for each in rows))


@app.command("rotate")
def rotate(
    suite: SuiteName,
    settings_file: SettingsFile,
    revoke_old: Annotated[
        bool,
        typer.Option("--revoke", help="The old key is stolen: revoke it for good."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put a new key in the place of one, in the registry contract too.

    A new secp256k1 key is a new account, which members have to vote for: the first
    call makes it and prints its address, the second finishes after the vote.
    """
    with on_chain():
        done = offline.rotate_key(load(settings_file), suite, revoke=revoke_old)
    told: dict[str, Any] = {
        "suite": suite,
        "was": done.was,
        "is": done.now,
        "state": "rotated" if done.finished else "waits for votes",
        "account": done.account,
    }
    if as_json:
        print_json(told)
    else:
        show(tuple(told), [tuple(told.values())])
    for sentence in _next(suite, done):
        err.print(sentence, markup=False, soft_wrap=True)


@app.command("revoke")
def revoke(
    suite: SuiteName,
    name: Annotated[
        str,
        typer.Argument(metavar="FINGERPRINT", help="Its first 8 hex digits or more."),
    ],
    settings_file: SettingsFile,
) -> None:
    """Revoke the key that holds in the registry contract, at once and for good.

    The node answers nobody from then on, until the suite is rotated.
    """
    with on_chain():
        settings = load(settings_file)
        with offline.account(settings) as sender, offline.registry(settings) as read:
            held = read.history(settings.did).now.keys.get(suite)
            short = len(name) < LEAST_DIGITS
            if held is None or short or not held.hex().startswith(name.lower()):
                holds = f"{held.hex()} does" if held else "none does"
                raise Refused(f"{name} is not the {suite} key that holds; {holds}")
            acts.revoke(sender, read, suite=suite, name=held)
    show(("suite", "fingerprint", "state"), [(suite, held.hex(), "revoked")])
    err.print(f"Next: fieldpact keys rotate {suite}", soft_wrap=True)


def _next(suite: str, done: offline.Rotated) -> list[str]:
    """Say what is left for people to do."""
    if not done.finished:
        return [
            f"Members vote: fieldpact consortium vote {done.did} {done.account}",
            "As soon as it is carried, no key of ours holds: then at once",
            f"  fieldpact keys rotate {suite}",
        ]
    again = {
        "bls12381g2": "Publish every dataset again: fieldpact dataset publish FILE",
        "x25519": "Both sides declare their customers again: fieldpact align AGREEMENT",
        "secp256k1": "Anchors of the new account begin at epoch 1.",
    }
    return [
        f"The old key is kept as {done.kept}.",
        "Restart the node: it reads its keys when it starts.",
        *([again[suite]] if suite in again else []),
        "Partners pin the new record: fieldpact partner show here, partner add there.",
    ]
