"""The command line as a newcomer meets it: what it makes, and what it says."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from examples.desk import Desk
from examples.federation import Federation, Node, federation
from examples.processes import node
from node import offline
from node.cli.app import app
from node.config import Settings, load
from node.errors import Conflict
from tests.support import REPOSITORY
from tests.support.servers import free_port

DATASET = """\
dataset: stations
title: {{en: Stations, zh: 充电站}}
source: {source}
customer: {{column: code, rule: uscc}}
fields:
  status:
    {{column: status, type: text, grade: general, personal: false, modes: [plain],
     title: {{en: Status, zh: 状态}}}}
"""
SETTINGS = """\
name: {{en: Voltway Charging, zh: 沃途充电}}
url: http://127.0.0.1:{port}
listen: 127.0.0.1:{port}
database: sqlite:///node.sqlite
keys: keys
participants: participants.json
operators:
  - {{role: management, token: management.token}}
datasets: [stations.yaml]
"""
CODES = ("91310115MA1K4TUT15", "91440300MA5FTUT12E")


def fieldpact(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def said(result: Result) -> str:
    """Return everything that was printed, without the frames and breaks of rich."""
    return " ".join(result.output.replace("│", " ").split())


def write_company(folder: Path) -> Path:
    """Write what a person writes to add a company; return its settings file."""
    (folder / "stations.csv").write_text(
        "id;code;status\n1;{};building\n2;{};open\n3;;planned\n".format(*CODES)
    )
    source = "{file: stations.csv, record: id}"
    (folder / "stations.yaml").write_text(DATASET.format(source=source))
    settings = folder / "node.yaml"
    settings.write_text(SETTINGS.format(port=free_port()))
    return settings


# --- a settings file and one command


def test_a_company_is_added_by_a_settings_file_and_one_command(tmp_path: Path) -> None:
    file = write_company(tmp_path)
    with federation(tmp_path / "run") as run:
        run.supervisor.start("node", [*node(settings=file), "--create"])
        run.wait("node", (tmp_path / "participants.json").exists)
        with closing(Desk(load(file))) as desk:
            run.wait("node", desk.is_ready)
            run.wait("node", lambda: bool(desk.get("/management/datasets")["items"]))
            (published,) = desk.get("/management/datasets")["items"]
        run.wait("node", lambda: "rows" in run.supervisor.log("node").read_text())
        log = run.supervisor.log("node").read_text()

    assert published["id"] == "stations"
    assert published["report"]["publishable"] == 2
    assert "stations: published 2 of 3 rows" in log
    assert {"keys", "management.token", "participants.json"} == {
        Path(line.removeprefix("made ")).name
        for line in log.splitlines()
        if line.startswith("made ")
    }
    for secret in (tmp_path / "keys").glob("*.key"):
        assert secret.read_text().strip() not in log


def test_what_is_there_is_not_made_again(tmp_path: Path) -> None:
    settings = load(write_company(tmp_path))

    assert len(offline.complete(settings)) == 3
    assert offline.complete(settings) == []


def test_keys_that_are_pinned_and_lost_are_not_replaced(tmp_path: Path) -> None:
    settings = load(write_company(tmp_path))
    offline.complete(settings)
    for key in settings.keys.iterdir():
        key.unlink()

    with pytest.raises(Conflict, match=r"keys\.missing"):
        offline.complete(settings)
    assert list(settings.keys.iterdir()) == []


# --- init


def init(folder: Path, url: str) -> Result:
    return fieldpact("init", folder, "--name", "A", "--name-zh", "甲", "--url", url)


def test_a_wrong_address_leaves_nothing_behind_so_that_one_can_try_again(
    tmp_path: Path,
) -> None:
    wrong = init(tmp_path / "a", "http://node.example:8101")
    assert wrong.exit_code == 1
    assert "url must be https" in said(wrong)

    assert init(tmp_path / "a", "https://node.example:8101").exit_code == 0


def test_a_node_is_not_overwritten(tmp_path: Path) -> None:
    url = "https://node.example:8101"
    assert init(tmp_path / "a", url).exit_code == 0
    before = {file: file.read_bytes() for file in (tmp_path / "a").rglob("*.*")}

    again = init(tmp_path / "a", url)

    assert again.exit_code == 1
    assert "node.exists" in said(again)
    assert {file: file.read_bytes() for file in before} == before


# --- serve


@pytest.fixture
def made(tmp_path: Path) -> Settings:
    file = write_company(tmp_path)
    offline.complete(load(file))
    return load(file)


def serve(folder: Path) -> subprocess.CompletedProcess[str]:
    command = node(settings=folder / "node.yaml")
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=REPOSITORY,
        check=False,
    )


def test_a_node_that_may_not_start_says_why_in_one_line(
    made: Settings, tmp_path: Path
) -> None:
    made.participants.write_text("[]")

    ended = serve(tmp_path)

    assert ended.returncode == 1
    assert "registry.self: " in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_that_is_taken_ends_the_node_with_1(
    made: Settings, tmp_path: Path
) -> None:
    with socket.create_server((made.host, made.port)):
        ended = serve(tmp_path)

    assert ended.returncode == 1
    assert "address already in use" in ended.stderr


def test_a_mistake_in_a_dataset_of_the_settings_is_told_before_anything_starts(
    made: Settings, tmp_path: Path
) -> None:
    file = tmp_path / "stations.yaml"
    file.write_text(file.read_text().replace("rule: uscc", "rule: usc"))

    ended = fieldpact("serve", "--settings", tmp_path / "node.yaml")

    assert ended.exit_code == 1
    assert "did you mean uscc?" in said(ended)


# --- wrong words


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        (["ask", "a", "1", "--field", "f", "--purpose", "p", "--rule", "usc"], "did you mean uscc?"),
        (["ask", "a", "1", "--field", "f", "--purpose", "p", "--rule", "uscc"], "does not fit the rule uscc: length"),
        (["offer", "did", "d", "--field", "f", "--purpose", "p", "--valid-from", "2026-01-01", "--valid-to", "2027-01-01"], "as in f:plain"),
        (["offer", "did", "d", "--field", "f:plain", "--purpose", "p", "--valid-from", "1 May", "--valid-to", "2027-01-01"], "write 2026-11-22T08:00:00Z"),
        (["offer", "did", "d", "--predicate", "f:at_least", "--purpose", "p", "--valid-from", "2026-01-01", "--valid-to", "2027-01-01"], "annual_spend:at_least,at_most:100000:8"),
        (["ask", "a", "1", "--purpose", "p"], "name a --field"),
        (["align", "a", "nowhere.csv", "--column", "c", "--rule", "uscc"], "does not exist"),
        (["agreement", "list"], "is it up?"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_answered_with_a_mend(
    made: Settings, tmp_path: Path, words: list[str], mend: str
) -> None:
    result = fieldpact(*words, "--settings", tmp_path / "node.yaml")

    assert result.exit_code == (1 if words[0] == "agreement" else 2)
    assert mend in said(result)


@pytest.mark.parametrize(
    ("column", "rule", "mend"),
    [("kode", "uscc", "did you mean `code`?"), ("code", "usc", "did you mean uscc?")],
)
def test_a_wrong_column_or_rule_of_a_file_is_answered_with_a_mend(
    made: Settings, tmp_path: Path, column: str, rule: str, mend: str
) -> None:
    file, settings = tmp_path / "stations.csv", tmp_path / "node.yaml"
    words = ["align", "a", str(file), "--column", column, "--rule", rule]

    result = fieldpact(*words, "--settings", settings)

    assert result.exit_code == 1
    assert mend in said(result)


# --- customers


def test_customers_are_read_from_a_file_whatever_separates_its_columns(
    tmp_path: Path,
) -> None:
    write_company(tmp_path)

    found, bad = offline.read_customers(tmp_path / "stations.csv", "code", "uscc")

    assert found == set(CODES)
    assert bad == {"empty": 1}


def test_customers_are_read_from_the_database_that_a_declaration_names(
    tmp_path: Path,
) -> None:
    with closing(sqlite3.connect(tmp_path / "crm.db")) as crm, crm:
        crm.execute("CREATE TABLE stations (id INTEGER PRIMARY KEY, code, status)")
        crm.execute("INSERT INTO stations (code) VALUES (?)", CODES[:1])
    source = "{url: 'sqlite:///crm.db', table: stations, record: id}"
    (tmp_path / "stations.yaml").write_text(DATASET.format(source=source))

    found, bad = offline.read_customers(tmp_path / "stations.yaml", "", "")

    assert found == {CODES[0]}
    assert bad == {}


# --- tables


def test_a_table_that_nobody_looks_at_is_lines_with_tabs(tmp_path: Path) -> None:
    write_company(tmp_path)
    command = [sys.executable, "-m", "node", "dataset", "check"]
    environment = dict(os.environ) | {"COLUMNS": "20"}

    checked: subprocess.CompletedProcess[Any] = subprocess.run(
        [*command, str(tmp_path / "stations.yaml"), "--grant", "status:plain"],
        capture_output=True, text=True, cwd=REPOSITORY, env=environment, check=True,
    )  # fmt: skip

    assert "status\tgeneral\tplain\tplain" in checked.stdout.splitlines()
    assert "customer.empty\t\t1\t1\t3" in checked.stdout.splitlines()


def test_json_is_json_whatever_the_width(tmp_path: Path) -> None:
    write_company(tmp_path)

    checked = fieldpact("dataset", "check", tmp_path / "stations.yaml", "--json")

    assert json.loads(checked.stdout)["report"]["rows"] == 3


# --- from an offer to a proof


PREDICATES = """\
dataset: stations
title: {en: Stations, zh: 充电站}
source: {file: stations.csv, record: id}
customer: {column: code, rule: uscc}
fields:
  status:
    {column: status, type: text, grade: general, personal: false, modes: [plain],
     title: {en: Status, zh: 状态}}
  spend:
    {column: spend, type: money, unit: CNY, scale: 2, grade: important,
     personal: false, modes: [predicate], title: {en: Spend, zh: 采购额}}
  opened_on:
    {column: opened, type: date, grade: general, personal: false,
     modes: [predicate], title: {en: Opened on, zh: 开业日期}}
"""


def told(node: Node, *words: str | Path, exit_code: int = 0) -> str:
    """Run a command for a company; return what it prints for programs."""
    result = fieldpact(*words, "--settings", node.settings)
    assert result.exit_code == exit_code, result.output
    return result.stdout


def trusted(run: Federation) -> list[str]:
    """What a third party is told to trust: a registry, and a chain to ask."""
    addresses = ["--contract", run.contract, "--registry-contract", run.consortium]
    return ["--registry", str(run.registry), "--rpc", run.chain_url, *addresses]


def assert_exported(
    parties: Sequence[Node], folder: Path, agreement: str, trust: list[str]
) -> None:
    """Either party exports the stream; once all is anchored, all of it verifies."""
    file, until = folder / "stream.jsonl", time.monotonic() + 240
    for party in parties:
        while True:
            told(party, "evidence", "--agreement", agreement, "--out", file)
            found = fieldpact("verify", file, *trust)
            if found.exit_code != 5 or time.monotonic() > until:
                break
            time.sleep(0.5)
        assert found.exit_code == 0, found.output
        assert "Complete: every receipt of the stream is here" in found.stdout
        assert "Every key held" in found.stdout
        assert found.stdout.splitlines()[-1].startswith("VERIFIED: every step holds")
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]))
    short = fieldpact("verify", file, *trust)
    assert short.exit_code == 4
    assert "NOT VERIFIED: Not complete" in short.stdout


def test_a_proof_is_offered_asked_for_and_shown_to_others_by_commands(
    tmp_path: Path,
) -> None:
    (tmp_path / "stations.csv").write_text(
        "id;code;status;spend;opened\n1;{0};open;612345.67;2026-02-11\n"
        "2;{0};building;4.50;\n3;{1};open;700000.00;2025-01-01\n".format(*CODES)
    )
    file = tmp_path / "stations.yaml"
    file.write_text(PREDICATES)
    (tmp_path / "ours.csv").write_text(f"code\n{CODES[0]}\n")
    names = {"a": {"en": "A", "zh": "甲"}, "b": {"en": "B", "zh": "乙"}}
    *ports, chain = (free_port() for _ in range(5))
    with federation(tmp_path / "run") as run:
        run.start_chain(chain)
        for number, (key, name) in enumerate(names.items()):
            address, port = ports[2 * number : 2 * number + 2]
            run.add(key, name, address=address, port=port, environment={})
        run.pin()
        run.start(*names)
        run.await_ready(*names)
        a, b = run.nodes["a"], run.nodes["b"]
        told(a, "dataset", "publish", file, "--wait")
        assert "nothing to commit to" in told(a, "dataset", "progress", "stations")
        told(
            a,
            *("offer", b.desk.did, "stations", "--purpose", "joint-delivery"),
            *("--valid-from", "2026-01-01", "--valid-to", "2099-01-01"),
            *("--field", "status:plain"),
            *("--predicate", "spend:at_least,at_most:100000:2"),
            *("--predicate", "opened_on:after,before:month:8"),
        )
        offers = json.loads(told(b, "agreement", "offers", "--json"))
        agreement = told(b, "accept", offers[0]["pid"]).strip()
        told(b, "align", agreement, tmp_path / "ours.csv", "--column", "code", "--rule", "uscc")  # fmt: skip
        ready = told(a, "dataset", "progress", "stations", "--wait", "--json")
        assert [each["state"] for each in json.loads(ready)] == ["ready"]
        assert "spend: at_least, at_most · every 100,000.00 CNY · 2 for each customer" in told(b, "agreement", "list")  # fmt: skip

        def ask(*words: str, exit_code: int = 0) -> list[str]:
            common = ["ask", agreement, CODES[0], "--rule", "uscc", "--purpose"]
            common += ["joint-delivery", *words]
            return told(b, *common, exit_code=exit_code).splitlines()

        answer = ask("--field", "status", "--where", "spend >= 600000 CNY")
        words = "spend ≥ 600,000.00 CNY"
        assert set(answer[1:3]) == {
            f"{CODES[0]}: status = open, {words}: proved, value not shown",
            f"{CODES[0]}: {words}: not proved",
        }
        assert answer[3].startswith("version 1 of the records · ")
        assert "612345" not in "".join(answer)
        before = ask("--where", "opened_on before 2026-03-01")
        assert sum("proved, value not shown" in line for line in before) == 1
        off = ask("--where", "spend >= 600001", exit_code=3)
        assert off[1].startswith("✗ predicate.granularity: ")
        assert "every 100,000.00 CNY" in off[2]
        ask("--where", "spend < 700000")
        assert ask("--where", "spend >= 0", exit_code=3)[1].startswith("✗ predicate.exhausted: ")  # fmt: skip

        receipt = answer[0].rpartition(" ")[2]
        opened = told(b, "evidence", receipt, "--open", CODES[0], "--rule", "uscc")
        shown = tmp_path / "evidence.json"
        shown.write_text(opened)
        registry = ["--registry", str(run.registry)]
        verified = fieldpact("verify", shown, *registry)
        assert verified.exit_code == 5, verified.output
        assert CODES[0] in opened
        assert_exported((a, b), tmp_path, agreement, trusted(run))
        compared = fieldpact("compare", shown, shown, *registry)
        assert (compared.exit_code, compared.stdout) == (0, "✓ both can be true\n")
