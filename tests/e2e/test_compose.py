"""The processes of docker-compose.yml, as plain processes on loopback.

The same commands, settings, keys and certificates as in containers: nodes that
speak https under a private authority, a PostgreSQL database and a policy server
each. Only names and ports differ.
"""

import json
import os
import secrets
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa

from examples import compose, processes
from examples.supervisor import NotStarted, Supervisor
from tests.support import REPOSITORY
from tests.support.servers import START_S, free_port

pytestmark = [pytest.mark.postgres, pytest.mark.opa, pytest.mark.slow]

CRM = """project_id,credit_code,stage,phone
P-1,91310115MA1K4TUT15,pilot,+86 21 5555 0101
P-2,91440300MA5FTUT12E,tender,+86 755 5555 0102
"""
DECLARATION = """
dataset: projects
title: {en: Projects, zh: 项目}
source: {file: crm.csv, record: project_id}
customer: {column: credit_code, rule: uscc}
fields:
  project_stage:
    {column: stage, type: text, grade: general, personal: false, modes: [plain],
     title: {en: Stage, zh: 阶段}}
  contact_phone:
    {column: phone, type: text, grade: general, personal: true, modes: [never],
     title: {en: Phone, zh: 电话}}
"""


@dataclass(frozen=True)
class Trial:
    folder: Path
    maker: compose.Company
    supplier: compose.Company

    def settings(self, company: compose.Company) -> Path:
        return self.folder / company.folder / "node" / "node.yaml"

    def get(self, address: str) -> httpx.Response:
        authorities = self.folder / "maker" / "node" / "authorities.pem"
        context = ssl.create_default_context(cafile=authorities)
        return httpx.get(address, verify=context, timeout=120, trust_env=False)

    def fieldpact(self, company: compose.Company, *words: str) -> str:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "node",
                *words,
                "--settings",
                str(self.settings(company)),
            ],
            capture_output=True,
            text=True,
            check=False,
            cwd=REPOSITORY,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def opa() -> str:
    binary = os.environ.get("FIELDPACT_TEST_OPA")
    if not binary:
        pytest.skip("needs an OPA: set FIELDPACT_TEST_OPA to its path")
    return binary


@pytest.fixture(scope="module")
def databases() -> Iterator[dict[str, str]]:
    """Give two new databases by company: host, port and name in a URL's form."""
    server = os.environ.get("FIELDPACT_TEST_POSTGRES")
    if not server:
        pytest.skip("needs a server: set FIELDPACT_TEST_POSTGRES to its URL")
    target = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(
        target, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool
    )
    names = {name: f"{name}_{secrets.token_hex(4)}" for name in ("maker", "supplier")}
    with engine.connect() as connection:
        for name in names.values():
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
    yield {
        company: target.set(drivername="postgresql", database=name).render_as_string(
            hide_password=False
        )
        for company, name in names.items()
    }
    with engine.connect() as connection:
        for name in names.values():
            connection.execute(sa.text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="module")
def trial(
    tmp_path_factory: pytest.TempPathFactory, opa: str, databases: dict[str, str]
) -> Iterator[Trial]:
    base = tmp_path_factory.mktemp("compose")
    chain, *ports = (free_port() for _ in range(7))
    companies = [
        compose.Company(
            folder=folder,
            name=folder,
            name_zh=folder,
            node=f"127.0.0.1:{ports[3 * at]}",
            listen=f"127.0.0.1:{ports[3 * at]}",
            database="127.0.0.1:1",
            policy=f"http://127.0.0.1:{ports[3 * at + 1]}",
            dashboard=f"127.0.0.1:{ports[3 * at + 2]}",
            public=f"http://127.0.0.1:{ports[3 * at + 2]}",
        )
        for at, folder in enumerate(databases)
    ]
    rpc = f"http://127.0.0.1:{chain}"
    folder = base / ".compose"
    compose.write(folder, tuple(companies), chain=rpc)
    trial = Trial(folder, *companies)
    with Supervisor(base) as supervisor:
        supervisor.start("chain", processes.chain(path=base / "chain", port=chain))
        for company in companies:
            policy = int(company.policy.rpartition(":")[2])
            name = company.folder
            supervisor.start(f"{name}-opa", processes.opa(port=policy, binary=opa))
        wait(supervisor, "chain", rpc, trial)
        first = trial.settings(companies[0])
        everybody = first.parent / "participants.json"
        for _ in range(2):  # containers may be restarted
            for command in (
                processes.contract(chain=rpc, settings=first),
                processes.registry(founders=everybody, settings=first),
            ):
                assert run(command).strip() in first.read_text()
            for company in companies:
                run(processes.register(settings=trial.settings(company)))
        for company in companies:
            name, settings = company.folder, trial.settings(company)
            wait(supervisor, f"{name}-opa", f"{company.policy}/health", trial)
            environment = {
                "FIELDPACT_DATABASE": databases[name],
                "PGPASSFILE": str(settings.parent / "pgpass"),
            }
            supervisor.start(
                f"{name}-node", processes.node(settings=settings), environment
            )
            wait(
                supervisor,
                f"{name}-node",
                f"https://{company.node}/health/ready",
                trial,
            )
            supervisor.start(
                f"{name}-dashboard",
                processes.dashboard(
                    settings=folder / name / "dashboard" / "dashboard.toml"
                ),
            )
            wait(
                supervisor, f"{name}-dashboard", f"{company.public}/health/live", trial
            )
        yield trial


def run(command: list[str]) -> str:
    """Run a command that ends; return what it printed."""
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=REPOSITORY
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wait(supervisor: Supervisor, name: str, address: str, trial: Trial) -> None:
    """Wait until an address answers, under the trial's own authority."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            if trial.get(address).status_code < 500:
                return
        except httpx.HTTPError:
            supervisor.check(name)
        time.sleep(0.1)
    raise NotStarted(name)


def test_each_secret_can_be_read_by_its_owner_only(trial: Trial) -> None:
    told = {"node.yaml", "participants.json", "authorities.pem", "node.crt"}
    told |= {"dashboard.toml", "env"}
    files = [path for path in trial.folder.rglob("*") if path.is_file()]
    secret = [path for path in files if path.name not in told]

    assert {path.name for path in secret} >= {
        "authority.key", "access-key", "pgpass", "database-password", "node.key",
        "audit.token", "management.token", "ed25519.key", "bls12381g2.key",
        "x25519.key", "secp256k1.key",
    }  # fmt: skip
    assert [path for path in secret if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


def test_git_ignores_what_was_written() -> None:
    ignored = (REPOSITORY / ".gitignore").read_text().splitlines()

    assert f"{compose.FOLDER.name}/" in ignored


def test_a_node_is_not_believed_without_its_authority(trial: Trial) -> None:
    with pytest.raises(httpx.ConnectError, match="certificate"):
        httpx.get(f"https://{trial.maker.node}/health/live", trust_env=False)


def test_two_companies_agree_ask_and_answer_over_https(
    trial: Trial, tmp_path: Path
) -> None:
    (tmp_path / "crm.csv").write_text(CRM)
    declaration = tmp_path / "projects.yaml"
    declaration.write_text(DECLARATION)
    customers = tmp_path / "customers.csv"
    customers.write_text("code\n91310115MA1K4TUT15\n91510100MA6DTUT674\n")
    consumer = f"did:web:{trial.supplier.node.replace(':', '%3A')}"

    trial.fieldpact(trial.maker, "dataset", "publish", str(declaration))
    offered = trial.fieldpact(
        trial.maker, "offer", consumer, "projects",
        "--field", "project_stage:plain", "--purpose", "joint-delivery",
        "--valid-from", "2026-01-01T00:00:00Z", "--valid-to", "2037-01-01T00:00:00Z",
    )  # fmt: skip
    agreement = trial.fieldpact(trial.supplier, "accept", offered.split()[-1]).strip()
    trial.fieldpact(
        trial.supplier, "align", agreement, str(customers),
        "--column", "code", "--rule", "uscc",
    )  # fmt: skip
    answer = json.loads(
        trial.fieldpact(
            trial.supplier,
            "ask",
            agreement,
            "91310115MA1K4TUT15",
            "91510100MA6DTUT674",
            "--rule",
            "uscc",
            "--field",
            "project_stage",
            "--purpose",
            "joint-delivery",
            "--json",
        )
    )

    assert answer["verified"] is True
    assert answer["customers"] == {
        "91310115MA1K4TUT15": [{"fields": {"project_stage": "pilot"}, "proved": True}],
        "91510100MA6DTUT674": None,
    }
    evidence = json.loads(
        trial.fieldpact(trial.supplier, "evidence", answer["receipt"])
    )
    assert evidence["receipt"]["policy"]["engine"].startswith("opa/")


def test_a_dashboard_opens_with_its_key_and_reaches_its_node(trial: Trial) -> None:
    key = (trial.folder / "maker" / "access-key").read_text()
    with httpx.Client(base_url=trial.maker.public, trust_env=False) as reader:
        signed_in = reader.post(
            "/sign-in", data={"key": key}, headers={"Origin": trial.maker.public}
        )
        page = reader.get("/")

    assert signed_in.status_code in {200, 303}
    assert page.status_code == 200
    assert 'href="/calls' in page.text
