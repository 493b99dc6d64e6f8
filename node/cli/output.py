"""How commands speak: tables and sentences for people, JSON for programs."""

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, NoReturn

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from node import offline
from node.config import Settings, load
from node.errors import BadRequest, NodeError

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False)

SettingsFile = Annotated[
    Path,
    typer.Option("--settings", "-s", help="The node's settings file."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class Exit(IntEnum):
    """What a command's end means."""

    ERROR = 1
    DENIED = 3
    NOT_VERIFIED = 4
    PARTIAL = 5


def print_json(value: Any) -> None:
    """Print JSON on stdout, whatever the terminal's width."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def show(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; where nobody looks on, lines with tabs and nothing folded.

    In a terminal the first column is never folded: an id is there to be copied.
    """
    if not out.is_terminal:
        for row in (columns, *rows):
            sys.stdout.write("\t".join(cell.replace("\n", " ") for cell in row) + "\n")
        return
    made = Table(box=None, header_style="bold", pad_edge=False)
    for number, column in enumerate(columns):
        made.add_column(column, overflow="fold", no_wrap=number == 0)
    for row in rows:
        made.add_row(*map(Text, row))
    out.print(made)


def modes(pairs: Iterable[str]) -> dict[str, str]:
    """Return the mode of each field, as given on the command line.

    Raises:
        BadParameter: One is not `field:mode`.
    """
    found = {}
    for pair in pairs:
        name, _, mode = pair.partition(":")
        if not name or not mode:
            message = f"{pair}: write field:mode, as in {name or 'stage'}:plain"
            raise typer.BadParameter(message)
        found[name] = mode
    return found


def predicates(texts: Iterable[str]) -> list[dict[str, Any]]:
    """Return what may be proved of fields, as given on the command line.

    Raises:
        BadParameter: One is not `field:operators:step:probes`.
    """
    found = []
    for text in texts:
        parts = text.split(":")
        counted = parts[-1].isdecimal() and len(parts[-1]) <= 5
        if len(parts) != 4 or not all(parts) or not counted:
            message = (
                f"{text}: write field:operators:step:probes, "
                "as in annual_spend:at_least,at_most:100000:8"
            )
            raise typer.BadParameter(message)
        name, operators, step, probes = parts
        found.append(
            {
                "field": name,
                "operators": operators.split(","),
                "step": None if step == "-" else step,
                "probes": int(probes),
            }
        )
    return found


@contextmanager
def reported() -> Iterator[None]:
    """End with a sentence and exit code 1 on an error of the node."""
    try:
        yield
    except NodeError as error:
        err.print(f"[red]✗ {error.code}[/red]")
        err.print(error.detail, markup=False)
        raise typer.Exit(Exit.ERROR) from error


def _management_token(settings: Settings) -> str:
    """Return the token with which operators manage a node.

    Raises:
        BadRequest: The settings name none, or its file cannot be read.
    """
    tokens = [each.token for each in settings.operators if each.role == "management"]
    if not tokens:
        detail = "The settings name no operator of the role management: add one."
        raise BadRequest("operator.none", detail)
    try:
        return tokens[0].read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        detail = f"The token {tokens[0]} cannot be read. Is the node made, and is it"
        mend = "yours? `fieldpact serve --create` makes what is missing."
        raise BadRequest("token.unreadable", f"{detail} {mend}") from error


class Management:
    """The management API of a running node, as its settings file says to reach it."""

    def __init__(self, settings: Settings) -> None:
        secret = _management_token(settings)
        # A certificate is for the name under which partners reach the node. And a
        # command ends without closing what it never knew to be open.
        self._client = offline.http_client(
            settings,
            base_url=settings.url if settings.tls else f"http://{settings.listen}",
            headers={"Authorization": f"Bearer {secret}", "Connection": "close"},
            timeout=600,
        )

    @classmethod
    def of(cls, settings_file: Path) -> "Management":
        """Return the API of the node with these settings."""
        with reported():
            return cls(load(settings_file))

    def get(self, path: str) -> Any:
        """Return what the node answers; end with its problem if it is one."""
        return self._answer("GET", path, None)

    def lines(self, path: str, query: Mapping[str, str]) -> Iterator[bytes]:
        """Give what the node answers line by line, ends included, as it comes."""
        try:
            with self._client.stream("GET", path, params=dict(query)) as response:
                if response.status_code >= 400:
                    response.read()
                    self._refused(response.json())
                rest = b""
                for data in response.iter_bytes():
                    *whole, rest = (rest + data).split(b"\n")
                    yield from (line + b"\n" for line in whole)
                if rest:
                    yield rest
        except (httpx.HTTPError, ValueError) as error:
            self._unreachable(error)

    def post(self, path: str, body: Any) -> Any:
        """Return what the node answers; end with its problem if it is one."""
        return self._answer("POST", path, body)

    def _answer(self, method: str, path: str, body: Any) -> Any:
        try:
            response = self._client.request(method, path, json=body)
            answer = response.json()
        except (httpx.HTTPError, ValueError) as error:
            self._unreachable(error)
        if response.status_code >= 400:
            self._refused(answer)
        return answer

    def _unreachable(self, error: Exception) -> NoReturn:
        err.print("[red]✗ node.unreachable[/red]")
        err.print(f"The node at {self._client.base_url} does not answer: is it up?")
        err.print("`fieldpact serve` with the same settings starts it.")
        raise typer.Exit(Exit.ERROR) from error

    def _refused(self, problem: Any) -> NoReturn:
        err.print(f"[red]✗ {problem.get('code')}[/red]")
        err.print(problem.get("detail", ""), markup=False)
        raise typer.Exit(Exit.ERROR)
