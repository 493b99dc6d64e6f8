"""Making a node: its keys, its operators' tokens, its settings, its record."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from crypto.keyids import Suite
from ledger.participants import Participant
from node.adapters.keyring import SECRETS, generate_keys, load_keys, write_secret
from node.adapters.record import record_of
from node.adapters.system import system_randomness
from node.config import Settings, environment, load
from node.errors import BadRequest, Conflict
from node.offline.registry_file import read_registry, write_registry

_SETTINGS = """\
# A node's settings. Paths are relative to this file. Everything that can be set,
# and what it means, stands in node/config.py.
name: {name}
url: {url}
listen: {listen}
database: sqlite:///node.sqlite
keys: keys
participants: participants.json
operators:
  - {{role: management, token: management.token}}
  - {{role: audit, token: audit.token}}
policy: embedded
datasets: []  # declarations, published when the node starts
purposes:
  - {{id: joint-delivery, title: {{en: Joint delivery, zh: 联合交付}}}}
  - {{id: service-quality, title: {{en: Service quality, zh: 服务质量}}}}
"""


def new_node(
    folder: Path,
    *,
    name: Mapping[str, str],
    url: str,
    listen: str,
    suite: Suite = "ed25519",
    gm_only: bool = False,
) -> Path:
    """Write a new node: settings, and what `complete` makes for them.

    Args:
        folder: Made if it is not there.
        name: The company's, by language.
        url: Where partners reach the node.
        listen: `host:port`.
        suite: Of the key that signs receipts; stays what it is.
        gm_only: Whether nothing may be offered that rests on BBS.

    Returns:
        The settings file.

    Raises:
        Conflict: The folder holds settings or keys already; nothing was written.
        BadRequest: The settings would be wrong; nothing was written.
    """
    settings = folder / "node.yaml"
    for there in (settings, *(folder / "keys").glob("*.key")):
        if there.exists():
            detail = f"{there} is there already; move it away first."
            raise Conflict("node.exists", detail)
    text = _SETTINGS.format(
        name=json.dumps(dict(name), ensure_ascii=False), url=url, listen=listen
    )
    if suite != "ed25519":
        text += f"suite: {suite}  # receipts, snapshots, the log; not to be changed\n"
    if gm_only:
        text += "gm_only: true  # no datasets\n"
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(text, encoding="utf-8")
    try:
        made = load(settings)
    except BadRequest:
        settings.unlink()
        raise
    complete(made)
    return settings


def complete(settings: Settings) -> list[Path]:
    """Make what settings name and what is not there yet.

    Keys where there is none, a token for each operator that has none, and
    the node's own record in the registry.

    Returns:
        The files and folders that were made or changed.

    Raises:
        Conflict: The registry pins keys for this node, and they are not here.
    """
    registry, made = settings.participants, list[Path]()
    known = {each.did: each for each in read_registry(registry)}
    given = any(name.startswith(SECRETS) for name in environment())
    if not given and not any(settings.keys.glob("*.key")):
        if settings.did in known:
            detail = f"{registry} pins keys for {settings.did}: put them here."
            raise Conflict("keys.missing", f"{settings.keys} holds no keys. {detail}")
        generate_keys(settings.keys, system_randomness, suite=settings.suite)
        made.append(settings.keys)
    for operator in settings.operators:
        if not operator.token.exists():
            write_secret(operator.token, system_randomness(32))
            made.append(operator.token)
    if settings.did not in known:
        write_registry(registry, [*known.values(), own_record(settings)])
        made.append(registry)
    return made


def own_record(settings: Settings) -> Participant:
    """Return the record by which a registry can pin this node, with its past keys.

    Raises:
        BadRequest: A key, or the registry file, cannot be used.
    """
    record = record_of(
        settings, load_keys(settings.keys, environment(), suite=settings.suite)
    )
    for pinned in read_registry(settings.participants):
        if pinned.did == record.did:
            return replace(record, past_keys=pinned.past_keys)
    return record


def new_keys(folder: Path, suite: Suite = "ed25519") -> None:
    """Write new keys. Raises `Conflict` where there are keys already."""
    generate_keys(folder, system_randomness, suite=suite)
