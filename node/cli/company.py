"""`init`, `serve`, `keys`, `partner`, `contract`: what a company sets up once."""

from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Annotated

import httpx
import typer

from crypto.errors import CryptoError
from crypto.keys import fragment
from ledger.errors import LedgerError
from ledger.participants import Participant, parse_participant
from node import offline
from node.cli.logs import LOGGING
from node.cli.output import Exit, SettingsFile, err, out, print_json, reported, show
from node.config import Settings, load


class Suite(Enum):
    """What can sign receipts."""

    ED25519 = "ed25519"
    SM2 = "sm2"


def init(
    folder: Annotated[Path, typer.Argument(help="A folder for the new node.")],
    name: Annotated[str, typer.Option(help="The company's name in English.")],
    name_zh: Annotated[str, typer.Option(help="The company's name in Chinese.")],
    url: Annotated[str, typer.Option(help="Where partners will reach the node.")],
    listen: Annotated[str, typer.Option(help="host:port to listen on.")] = "",
    suite: Annotated[
        Suite, typer.Option(help="What signs receipts; cannot be changed later.")
    ] = Suite.ED25519,
    gm_only: Annotated[
        bool, typer.Option("--gm-only", help="Offer nothing that rests on BBS.")
    ] = False,
) -> None:
    """Make a new node: keys, operator tokens, settings, its registry record."""
    with reported():
        at = listen or httpx.URL(url).netloc.decode()
        settings = offline.new_node(
            folder,
            name={"en": name, "zh": name_zh},
            url=url,
            listen=at,
            suite=suite.value,
            gm_only=gm_only,
        )
    out.print(f"{settings}", soft_wrap=True)
    err.print(f"Next: fieldpact serve --settings {settings}")


def serve(
    settings_file: SettingsFile,
    create: Annotated[
        bool,
        typer.Option("--create", help="First make keys and tokens that are missing."),
    ] = False,
) -> None:
    """Run the node until it is stopped. It publishes the datasets of its settings."""
    # All that a node is made of takes a second to import, which other commands save.
    import uvicorn  # noqa: PLC0415

    from node import bootstrap  # noqa: PLC0415

    with reported():
        settings = load(settings_file)
        for made in offline.complete(settings) if create else ():
            err.print(f"made {made}", soft_wrap=True)
        app = bootstrap.application(settings)
    tls = settings.tls
    with suppress(SystemExit):  # uvicorn's own exit codes mean something else here
        uvicorn.run(
            app,
            host=settings.host,
            port=settings.port,
            log_config=LOGGING,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=10,
            ssl_certfile=tls.certificate if tls else None,
            ssl_keyfile=tls.key if tls else None,
        )
        return
    raise typer.Exit(Exit.ERROR)


def keys(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder.")],
) -> None:
    """Generate the four keys of a node. Nothing secret is printed."""
    with reported():
        offline.new_keys(folder)
    for file in sorted(folder.glob("*.key")):
        out.print(str(file), soft_wrap=True)


partner = typer.Typer(help="The consortium's registry: whom this node knows.")


@partner.command("list")
def partners(settings_file: SettingsFile) -> None:
    """List the pinned participants and their keys' fingerprints."""
    with reported():
        known = offline.read_registry(load(settings_file).participants)
    _show(known)


@partner.command("show")
def record(settings_file: SettingsFile) -> None:
    """Print this node's own record, to be pinned by others."""
    with reported():
        print_json(offline.own_record(load(settings_file)).to_json())


@partner.command("add")
def add(
    place: Annotated[str, typer.Argument(help="Record file, or address of a node.")],
    settings_file: SettingsFile,
    yes: Annotated[bool, typer.Option("--yes", help="Pin without asking.")] = False,
) -> None:
    """Pin a participant. Compare the fingerprints by another way before you say yes."""
    with reported():
        settings = load(settings_file)
        registry = settings.participants
        known = {each.did: each for each in offline.read_registry(registry)}
        new = offline.repinned(known, _fetched(place, settings))
        _show([new])
        if before := known.get(new.did):
            _tell_changes(before, new)
        if not yes:
            typer.confirm(
                "Are these the fingerprints that the company told you?", abort=True
            )
        offline.write_registry(registry, {**known, new.did: new}.values())
    err.print(f"Pinned {new.did} in {registry}.")


def deploy(
    url: Annotated[str, typer.Argument(help="JSON-RPC address of the chain.")],
    settings_file: SettingsFile,
) -> None:
    """Create the consortium's anchor contract, once, and print its address."""
    with reported():
        settings = load(settings_file)
        try:
            out.print(offline.deploy_contract(settings, url))
        except LedgerError as error:
            err.print(f"[red]✗ chain.unavailable[/red] {error}")
            raise typer.Exit(Exit.ERROR) from error


def _fetched(place: str, settings: Settings) -> Participant:
    try:
        if place.startswith(("http://", "https://")):
            base = place.rstrip("/")
            with offline.http_client(settings, timeout=10) as client:
                value = client.get(f"{base}/.well-known/fieldpact.json").json()
                document = client.get(f"{base}/.well-known/did.json").json()
            found = parse_participant(value)
            _check_document(found, document)
            return found
        return parse_participant(offline.read_json(Path(place)))
    except (httpx.HTTPError, OSError, ValueError, CryptoError) as error:
        err.print(f"[red]✗ participant.unusable[/red] {place}: {error}")
        raise typer.Exit(Exit.ERROR) from error


def _check_document(found: Participant, document: dict[str, object]) -> None:
    """Check that the DID document of a node names the keys of its record."""
    methods = document.get("verificationMethod")
    named = {each["id"] for each in methods} if isinstance(methods, list) else set()
    if document.get("id") != found.did or named != {
        found.key_id(suite) for suite in found.keys
    }:
        message = "its DID document names other keys than its record"
        raise ValueError(message)


def _tell_changes(before: Participant, now: Participant) -> None:
    """Say which keys of a participant are to be pinned in the place of which."""
    for suite, public in now.keys.items():
        was = before.keys.get(suite)
        if was != public:
            old = fragment(suite, was) if was else "none"
            err.print(f"{suite} changes: {old} was pinned", soft_wrap=True)
    if before.chain_address.lower() != now.chain_address.lower():
        err.print(f"the account changes: {before.chain_address} was pinned")


def _show(participants: list[Participant]) -> None:
    rows = (
        (
            f"{each.name['en']}\n{each.name['zh']}",
            each.url,
            "\n".join(fragment(suite, key) for suite, key in each.keys.items()),
        )
        for each in participants
    )
    show(("participant", "address", "keys"), rows)
