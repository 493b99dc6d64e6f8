"""The verifier as a program: what it loads, what it says, and how it ends."""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from ledger import fork
from ledger.bundle import render_line
from ledger.receipts import sign_receipt
from ledger.verifier import main
from node.cli.app import app
from tests.support import REPOSITORY
from tests.unit.ledger import bundled, planned, samples, world

FULL, CHAIN = world.story()
STEP, _ = planned.story()
STORY = bundled.story()
FOREIGN = (
    *("node.cli", "node.bootstrap", "dashboard", "sqlalchemy", "fastapi", "starlette"),
    *("httpx", "requests", "aiohttp", "web3", "eth", "uvicorn", "pydantic_settings"),
)
WITHOUT_A_NETWORK = """
import runpy, socket, sys
def refuse(*_, **__):
    raise AssertionError("a socket was opened")
socket.socket = socket.create_connection = socket.getaddrinfo = refuse
sys.argv = {argv!r}
try:
    {run}
except SystemExit as end:
    code = end.code
def is_of(name, package):
    return (name + ".").startswith(package + ".")
loaded = {{each for each in sys.modules if any(is_of(each, it) for it in {foreign!r})}}
if {strict}:
    loaded |= {{each for each in sys.modules if is_of(each, "node")}}
print(sorted(loaded), code, file=sys.stderr)
"""
MODULE = 'runpy.run_module("ledger.verify", run_name="__main__")'
COMMAND = 'runpy.run_module("node", run_name="__main__")'


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with a registry, evidence, a bundle and a proof of a fork."""
    pins = [party.to_json() for party in samples.PINS.values()]
    (tmp_path / "registry.json").write_text(json.dumps(pins))
    (tmp_path / "evidence.json").write_bytes(FULL.render())
    (tmp_path / "spaced.json").write_text(json.dumps(FULL.to_json(), indent=2))
    (tmp_path / "step.json").write_bytes(STEP.render())
    sealed = replace(STEP, answer=None, plan=None)
    (tmp_path / "sealed.json").write_bytes(sealed.render())
    other = replace(STEP, answer=replace(planned.ANSWER, members={}))
    (tmp_path / "other.json").write_bytes(other.render())
    bent = replace(FULL, salt=bytes(32))
    (tmp_path / "bent.json").write_bytes(bent.render())
    young = replace(FULL, countersignature=None)
    (tmp_path / "young.json").write_bytes(young.render())
    first = bundled.manifest(STORY.entries, STORY.entries[-1].signed)
    lines = bundled.lines(first, STORY.entries)
    (tmp_path / "bundle.jsonl").write_bytes(b"".join(map(render_line, lines)))
    short = [line for line in lines if line is not STORY.entries[4]]
    (tmp_path / "short.jsonl").write_bytes(b"".join(map(render_line, short)))
    both = samples.receipt(), samples.receipt(customers=7)
    signed = [sign_receipt(each, samples.PROVIDER_KEY) for each in both]
    proof = fork.Fork(first=signed[0], second=signed[1])
    (tmp_path / "fork.json").write_text(json.dumps(proof.to_json()))
    return tmp_path


def verify(files: Path, name: str, *options: str, registry: bool = True) -> Result:
    """Run the command in this process."""
    pins = ["--registry", str(files / "registry.json")] if registry else []
    return CliRunner().invoke(app, ["verify", str(files / name), *pins, *options])


def last(result: Result) -> str:
    return result.stdout.splitlines()[-1]


def alone(files: Path, run: str, argv: Sequence[str], *, strict: bool) -> Any:
    """Run the verifier in a process of its own, where a socket is an error."""
    words = ["verify", *argv, "--registry", str(files / "registry.json")]
    script = WITHOUT_A_NETWORK.format(
        argv=words if strict else ["fieldpact", *words],
        run=run,
        foreign=FOREIGN,
        strict=strict,
    )
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip


@pytest.mark.parametrize("name", ["evidence.json", "bundle.jsonl", "fork.json"])
def test_it_loads_ledger_and_crypto_and_opens_no_socket(files: Path, name: str) -> None:
    code = 0 if name == "fork.json" else 5
    ended = alone(files, MODULE, [str(files / name)], strict=True)
    assert ended.stderr.splitlines()[-1] == f"[] {code}"
    assert "VERIFIED" in ended.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "code", "told"),
    [
        ("step.json", 0, "The consumer signed the plan"),
        ("sealed.json", 0, "the two were not compared"),
        ("other.json", 4, "something else than the receipt says"),
    ],
)
def test_the_receipt_of_a_step_is_told_with_its_plan_and_its_answer(
    files: Path, name: str, code: int, told: str
) -> None:
    result = verify(files, name, "--offline")
    assert result.exit_code == code
    assert told in result.stdout
    chinese = verify(files, name, "--offline", "--lang", "zh")
    assert "步骤" in chinese.stdout


def test_the_command_of_the_node_loads_no_node_for_it_either(files: Path) -> None:
    ended = alone(files, COMMAND, [str(files / "evidence.json")], strict=False)
    assert ended.stderr.splitlines()[-1] == "[] 5"
    assert "VERIFIED, CHAIN NOT CHECKED" in ended.stdout.splitlines()[-1]


def test_every_step_is_told_in_words_and_the_verdict_last(files: Path) -> None:
    result = verify(files, "evidence.json")
    assert result.exit_code == 5
    assert "✓ The provider signed the receipt" in result.stdout
    assert "○ Chain not checked: none was asked." in result.stdout
    assert last(result).startswith("VERIFIED, CHAIN NOT CHECKED: ")


def test_who_says_that_no_chain_is_asked_is_not_told_off_for_it(files: Path) -> None:
    result = verify(files, "evidence.json", "--offline")
    assert result.exit_code == 0
    assert last(result).startswith("VERIFIED, CHAIN NOT CHECKED: ")


def test_what_is_false_ends_with_4_in_any_mode(files: Path) -> None:
    for options in ([], ["--offline"]):
        result = verify(files, "bent.json", *options)
        assert result.exit_code == 4
        assert last(result).startswith("NOT VERIFIED: The receipt is not in the log")


def test_what_is_still_to_come_is_pending(files: Path) -> None:
    result = verify(files, "young.json", "--offline")
    assert result.exit_code == 5
    assert last(result) == "PENDING: The consumer has not signed the receipt back yet."


def test_keys_from_the_file_alone_verify_nothing(files: Path) -> None:
    result = verify(files, "evidence.json", registry=False)
    assert result.exit_code == 5
    assert last(result).startswith("NOT VERIFIED, NOTHING FALSE FOUND: ")


def test_a_bundle_is_checked_and_its_gap_is_named(files: Path) -> None:
    whole = verify(files, "bundle.jsonl", "--offline")
    assert whole.exit_code == 0
    assert "Complete: every receipt of the stream is here" in whole.stdout
    assert "10 / 10" in whole.stdout
    short = verify(files, "short.jsonl", "--offline")
    assert short.exit_code == 4
    assert "missing: 4" in short.stdout


def test_a_proof_of_fault_is_checked(files: Path) -> None:
    result = verify(files, "fork.json")
    assert result.exit_code == 0
    assert last(result) == "VERIFIED: every step holds."


def test_it_speaks_chinese(files: Path) -> None:
    result = verify(files, "evidence.json", "--lang", "zh")
    assert last(result).startswith("核验通过，未核验链上记录")
    assert "使用方已回签" in result.stdout


def test_programs_are_told_in_json(files: Path) -> None:
    result = verify(files, "evidence.json", "--json")
    told = json.loads(result.stdout)
    assert (told["verdict"], told["exit"]) == ("chain_not_checked", 5)
    assert result.exit_code == 5
    assert {"name", "state", "detail", "en", "zh"} == set(told["steps"][0])
    assert told["en"].startswith("VERIFIED, CHAIN NOT CHECKED")


def test_spacing_does_not_matter(files: Path) -> None:
    spaced, plain = (verify(files, f"{name}.json") for name in ("spaced", "evidence"))
    assert spaced.stdout == plain.stdout


def test_a_quorum_that_was_not_met_is_not_verified(files: Path) -> None:
    result = verify(files, "evidence.json", "--quorum", "1")
    assert result.exit_code == 4
    assert "0 / 1, 1 asked for" in result.stdout


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b"\xff", b'{"typ":"fieldpact/other/1"}']
)
def test_what_is_no_file_of_ours_cannot_be_read(files: Path, content: bytes) -> None:
    (files / "other").write_bytes(content)
    result = verify(files, "other")
    assert result.exit_code == 1
    assert "cannot be read" in result.stderr


def test_a_file_or_a_registry_that_is_not_there_cannot_be_read(files: Path) -> None:
    assert verify(files, "nothing.json").exit_code == 1
    (files / "registry.json").unlink()
    assert verify(files, "evidence.json").exit_code == 1


@pytest.mark.parametrize(
    "options",
    [
        ["--rpc", "http://127.0.0.1:1"],
        ["--contract", "0x" + "cc" * 20],
        ["--registry-contract", "0x" + "cc" * 20],
        ["--offline", "--rpc", "http://127.0.0.1:1", "--contract", "0x" + "cc" * 20],
        ["--quorum", "0"],
        ["--lang", "fr"],
        ["--nonsense"],
    ],
)
def test_half_a_chain_is_a_mistake_and_not_a_smaller_check(
    files: Path, options: list[str]
) -> None:
    assert verify(files, "evidence.json", *options).exit_code == 2


def test_a_chain_that_does_not_answer_leaves_it_not_checked(files: Path) -> None:
    nowhere = ["--rpc", "http://127.0.0.1:1", "--contract", CHAIN.contract]
    asked = ["--registry-contract", "0x" + "dd" * 20]
    for options in (nowhere, nowhere + asked):
        result = verify(files, "evidence.json", *options)
        assert result.exit_code == 5
        assert "Chain not checked: it did not answer." in result.stdout


def test_an_address_that_is_none_cannot_be_asked(files: Path) -> None:
    wrong = ["--rpc", "http://127.0.0.1:1", "--contract", "0x12"]
    assert verify(files, "evidence.json", *wrong).exit_code == 1


def test_it_is_called_what_it_was_called(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"], program="fieldpact verify")
    assert end.value.code == 0
    assert "fieldpact verify" in capsys.readouterr().out
