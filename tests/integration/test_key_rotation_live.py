"""Keys that are rotated and revoked under running nodes, on a chain with a registry."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from crypto.encoding import b64u
from crypto.keys import Ed25519Key
from examples.desk import Terms
from examples.federation import Federation, Node
from ledger.receipts import request_hash
from node import offline
from node.adapters.identity import RegistryIdentity
from node.adapters.keyring import load_keys
from node.adapters.system import SystemClock
from tests.support import REPOSITORY
from tests.support.federation import running

pytestmark = [pytest.mark.slow]
CODES = ("91310115MA1K4TUT15", "91440300MA5FTUT12E")
CRM = "project_id,credit_code,stage\nP-1,{},pilot\nP-2,{},tender\n".format(*CODES)
DECLARATION = """
dataset: projects
title: {en: Projects, zh: 项目}
source: {env: CRM, record: project_id}
customer: {column: credit_code, rule: uscc}
fields:
  project_stage:
    {column: stage, type: text, grade: general, personal: false, modes: [plain],
     title: {en: Stage, zh: 阶段}}
"""
PATIENCE_S = 240.0


class Pair:
    """A provider and a consumer with an agreement, as processes."""

    def __init__(self, federation: Federation, folder: Path) -> None:
        self.federation = federation
        self.maker, self.supplier = (
            federation.nodes[name] for name in ("maker", "supplier")
        )
        (folder / "projects.yaml").write_text(DECLARATION)
        self.maker.desk.publish(folder / "projects.yaml")
        terms = Terms(dataset="projects", fields=["project_stage"])
        self.agreement = self.maker.desk.agree(self.supplier.desk, terms)
        self.supplier.desk.declare(self.agreement, CODES)
        federation.await_snapshot("maker", "projects", self.agreement)

    def ask(self) -> dict[str, Any]:
        return self.supplier.desk.ask(self.agreement, CODES[:1], ["project_stage"])

    def answered(self) -> str:
        """Ask, and return the receipt of what was answered and proved."""
        answer = self.ask()
        assert answer["verified"], answer
        assert not answer["denials"], answer
        assert answer["customers"][CODES[0]][0]["fields"] == {"project_stage": "pilot"}
        return str(answer["receipt"])

    def codes(self) -> list[str]:
        return [each["code"] for each in self.ask()["denials"]]

    def fieldpact(self, node: Node, *words: str) -> subprocess.CompletedProcess[str]:
        return run(*words, "--settings", str(node.settings))

    def restart(self, node: Node) -> None:
        self.federation.supervisor.kill(node.key)
        self.federation.start(node.key)
        self.federation.await_ready(node.key)

    def _is_complete(self, receipt: str) -> bool:
        found = self._evidence(receipt)
        return None not in (found["anchor"], found["countersignature"])

    def check_evidence(self, receipt: str) -> None:
        """Verify a receipt with the pins of now, the chain and the registry there."""
        wait_for(lambda: self._is_complete(receipt))
        file = self.federation.folder / f"{receipt}.json"
        file.write_text(json.dumps(self._evidence(receipt)))
        words = ["verify", str(file), "--registry", str(self.federation.registry)]
        words += ["--rpc", self.federation.chain_url]
        words += ["--contract", self.federation.contract]
        words += ["--registry-contract", self.federation.consortium]
        done = run(*words)
        assert done.returncode == 0, done.stdout + done.stderr

    def _evidence(self, receipt: str) -> dict[str, Any]:
        done = self.fieldpact(self.maker, "evidence", receipt)
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def run(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "node", *words],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )


def wait_for(true: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < until, "it took too long"
        time.sleep(0.3)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    crm = tmp_path / "crm.csv"
    crm.write_text(CRM)
    environment = {"CRM": str(crm)}
    with running(
        tmp_path, "maker", "supplier", chain=True, environment=environment
    ) as federation:
        yield Pair(federation, tmp_path)


def test_a_signing_key_is_rotated_and_all_receipts_verify(pair: Pair) -> None:
    first = pair.answered()
    pair.check_evidence(first)
    settings = pair.supplier.desk.settings
    old: Ed25519Key = load_keys(settings.keys, {}).ed25519
    for node in (pair.maker, pair.supplier):
        done = pair.fieldpact(node, "keys", "rotate", "ed25519")
        assert done.returncode == 0, done.stderr
        assert not node.desk.is_ready()  # what it signs with is not pinned any more
    for node in (pair.maker, pair.supplier):
        pair.restart(node)
    second = pair.answered()
    for receipt in (first, second):
        pair.check_evidence(receipt)

    thief = RegistryIdentity(
        stale(pair, old), did=settings.did, signer=old, clock=SystemClock()
    )
    body = {
        "agreement": pair.agreement,
        "purpose": "joint-delivery",
        "fields": ["project_stage"],
        "where": [],
        "customers": [b64u(bytes(32))],
        "stream": {"last": None, "countersignatures": []},
    }
    token = thief.issue(
        audience=pair.maker.desk.did,
        bound_to=request_hash("projects", body),
        agreement=pair.agreement,
        nonce=b64u(b"n" * 32),
    )
    answer = httpx.post(
        f"{pair.maker.desk.settings.url}/views/projects/query",
        json=body,
        headers={"Authorization": f"Bearer {token}"},
        timeout=120,
        trust_env=False,
    )
    assert answer.status_code == 401
    assert answer.json()["code"] == "token.key_revoked"
    assert answer.json()["receipt"]["consumer"] is None


def stale(pair: Pair, old: Ed25519Key) -> Path:
    """Write a registry file as it was: with the consumer's old key."""
    records = json.loads(pair.federation.registry.read_text())
    for record in records:
        if record["did"] == pair.supplier.desk.did:
            record["keys"]["ed25519"] = b64u(old.public_bytes)
            del record["past_keys"]
    file = pair.federation.folder / "stale.json"
    file.write_text(json.dumps(records))
    return file


def test_a_revoked_key_is_refused_by_partners_and_by_its_own_node(pair: Pair) -> None:
    pair.answered()
    listed = pair.fieldpact(pair.supplier, "keys", "list", "--json")
    name = next(
        each["fingerprint"]
        for each in json.loads(listed.stdout)
        if each["suite"] == "ed25519"
    )
    done = pair.fieldpact(pair.supplier, "keys", "revoke", "ed25519", name)
    assert done.returncode == 0, done.stderr
    wait_for(lambda: pair.codes() == ["token.key_revoked"])
    wait_for(lambda: not pair.supplier.desk.is_ready())
    assert pair.maker.desk.is_ready()
    members = pair.fieldpact(pair.maker, "consortium", "members")
    assert members.returncode == 5
    assert "no ed25519 key holds" in members.stdout

    pair.federation.supervisor.kill("supplier")
    refused = pair.fieldpact(pair.supplier, "serve")
    assert refused.returncode == 1
    assert "registry.own_keys" in refused.stderr

    done = pair.fieldpact(pair.supplier, "keys", "rotate", "ed25519")
    assert done.returncode == 0, done.stderr
    pair.federation.start("supplier")
    pair.federation.await_ready("supplier")
    wait_for(lambda: pair.codes() == [])
    pair.answered()
    assert not offline.read_registry(pair.federation.registry)[0].past_keys
