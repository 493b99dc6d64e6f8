"""What docker-compose.yml mounts: settings, keys, certificates, passwords.

    .venv/bin/python -m examples.compose

writes the folder `.compose` (git ignores it) and says what to do next. Each
company gets its keys and operator tokens, the settings of node and dashboard, a
certificate, and a password for its database. Both get one registry that pins
the two, and one certificate authority that exists for this trial alone.

    .compose/
      env                     who runs the containers
      authority.key           signs certificates; no container sees it
      maker/                  likewise supplier/
        access-key            opens the dashboard
        database-password     for PostgreSQL; the node's copy is node/pgpass
        node/                 mounted as /etc/fieldpact in the node
        dashboard/            mounted as /etc/fieldpact in the dashboard
"""

import argparse
import hashlib
import os
import secrets
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import rlp  # type: ignore[import-untyped]
from eth_utils.crypto import keccak

from examples.certificates import Authority
from examples.federation import configure, pin
from node import offline
from node.config import Settings

FOLDER: Final = Path(__file__).resolve().parents[1] / ".compose"
_CHAIN: Final = """\
chain:
  url: "{url}"
  contract: "{contract}"
  registry: "{registry}"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """One company, and where its processes find each other.

    Attributes:
        node: Host and port under which partners and the dashboard reach the node.
        listen: Host and port where the node listens.
        database: Host and port of its PostgreSQL, whose database and user are
            called `fieldpact`.
        policy: Address of its policy server.
        dashboard: Host and port where the dashboard listens.
        public: Address that readers of the dashboard type.
    """

    folder: str
    name: str
    name_zh: str
    node: str
    listen: str
    database: str
    policy: str
    dashboard: str
    public: str


def in_containers(folder: str, name: str, name_zh: str, public: int) -> Company:
    """Return a company whose processes have the names of docker-compose.yml."""
    return Company(
        folder=folder,
        name=name,
        name_zh=name_zh,
        node=f"{folder}-node:8101",
        listen="0.0.0.0:8101",  # the container's own network
        database=f"{folder}-database:5432",
        policy=f"http://{folder}-opa:8181",
        dashboard="0.0.0.0:8201",
        public=f"http://127.0.0.1:{public}",
    )


COMPANIES: Final = (
    in_containers("maker", "Hengchuan Motors", "衡川汽车", 8201),
    in_containers("supplier", "Lumen Battery", "流明电池", 8202),
)


def write(folder: Path, companies: tuple[Company, ...], *, chain: str) -> None:
    """Write everything.

    Args:
        folder: Must not be there yet.
        companies: The first one's account creates both contracts.
        chain: Address of the chain's JSON-RPC.
    """
    folder.mkdir(mode=0o700)
    authority = Authority.new("Fieldpact trial")
    _secret(folder / "authority.key", authority.key_pem)
    (folder / "env").write_text(f"FIELDPACT_USER={os.getuid()}:{os.getgid()}\n")
    nodes = [_node(folder, company, authority) for company in companies]
    names = {"url": chain}
    names |= {"contract": _contract(nodes[0], 0), "registry": _contract(nodes[0], 1)}
    for company, settings in zip(companies, nodes, strict=True):
        home = folder / company.folder
        pin(settings.participants, nodes)
        with (home / "node" / "node.yaml").open("a") as file:
            file.write(_CHAIN.format(**names))
        _dashboard(home, company, settings, names)


def _node(base: Path, company: Company, authority: Authority) -> Settings:
    """Write a node's folder, all but its chain."""
    home = base / company.folder
    home.mkdir(mode=0o700)
    host, _, port = company.database.partition(":")
    folder = home / "node"
    offline.new_node(
        folder,
        name={"en": company.name, "zh": company.name_zh},
        url=f"https://{company.node}",
        listen=company.listen,
    )
    settings = configure(
        folder,
        database=f"postgresql://fieldpact@{company.database}/fieldpact",
        policy=company.policy,
        tls={"certificate": "node.crt", "key": "node.key"},
        authorities="authorities.pem",
    )
    issued = authority.issue(company.node.partition(":")[0], "localhost", "127.0.0.1")
    (folder / "node.crt").write_bytes(issued.certificate)
    _secret(folder / "node.key", issued.key)
    (folder / "authorities.pem").write_bytes(authority.certificate)
    password = secrets.token_urlsafe(24)
    _secret(home / "database-password", password.encode())
    entry = f"{host}:{port}:fieldpact:fieldpact:{password}\n"
    _secret(folder / "pgpass", entry.encode())
    return settings


def _dashboard(
    home: Path, company: Company, settings: Settings, chain: Mapping[str, str]
) -> None:
    """Write a dashboard's folder, and the key that opens it."""
    folder = home / "dashboard"
    folder.mkdir(mode=0o700)
    shutil.copy(settings.participants, folder / "participants.json")
    shutil.copy(home / "node" / "authorities.pem", folder)
    _secret(folder / "audit.token", (home / "node" / "audit.token").read_bytes())
    key = secrets.token_urlsafe(32)
    _secret(home / "access-key", key.encode())
    host, _, port = company.dashboard.partition(":")
    (folder / "dashboard.toml").write_text(
        f"""participant = "{settings.did}"
registry = "participants.json"
access_key_sha256 = "{hashlib.sha256(key.encode()).hexdigest()}"
language = "en"

[node]
url = "{settings.url}"
token_file = "audit.token"
authorities = "authorities.pem"

[listen]
host = "{host}"
port = {port}
public_url = "{company.public}"

[chain]
rpc_url = "{chain["url"]}"
contract = "{chain["contract"]}"
registry = "{chain["registry"]}"
"""
    )


def _contract(settings: Settings, nonce: int) -> str:
    """Return the address of a contract that a node's account will create.

    Source: Ethereum Yellow Paper, section 7: the last 20 bytes of the hash of
    RLP(sender, nonce).

    Args:
        nonce: How many transactions the account has sent before.
    """
    sender = bytes.fromhex(offline.own_record(settings).chain_address[2:])
    return "0x" + keccak(rlp.encode([sender, nonce]))[12:].hex()


def _secret(path: Path, content: bytes) -> None:
    """Write a new file that only its owner can read."""
    with os.fdopen(
        os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb"
    ) as f:
        f.write(content)


def main() -> None:
    """Write `.compose`, unless it is there."""
    parser = argparse.ArgumentParser(prog="examples.compose", description=__doc__)
    parser.parse_args()
    if FOLDER.exists():
        sys.exit(f"{FOLDER} is there already. Its keys go with the volumes' data.")
    write(FOLDER, COMPANIES, chain="http://chain:8545")
    sys.stdout.write(
        f"Wrote {FOLDER}. Next:\n"
        "  docker compose --env-file .compose/env up --build\n"
        "Then sign in with the key in the file named beside each dashboard:\n"
    )
    for company in COMPANIES:
        key = FOLDER / company.folder / "access-key"
        sys.stdout.write(f"  {company.public}  {key}\n")


if __name__ == "__main__":
    main()
