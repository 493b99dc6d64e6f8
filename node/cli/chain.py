"""`chain adopt`: what an operator decides about the chain."""

from typing import Annotated

import typer

from node.cli.output import Management, SettingsFile, out

app = typer.Typer(help="The chain that the log is anchored on.", no_args_is_help=True)


@app.callback()
def group() -> None:
    """Keep `adopt` a command of its own: Typer would fold a single one in."""


@app.command()
def adopt(
    settings_file: SettingsFile,
    why: Annotated[str, typer.Option(help="Why the chain is right. It is kept.")],
) -> None:
    """Go on from the chain's epoch, after the store was put back from a backup.

    Only when an alarm says that the chain is ahead or different, and only when nobody
    else anchors with this node's key: look first.
    """
    asked = {"why": why}
    done = Management.of(settings_file).post("/management/chain/adopt", asked)
    out.print(f"✓ {done['adopted']} epochs adopted; goes on after {done['epoch']}")
