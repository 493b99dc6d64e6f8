"""Secrets stay where they are: out of files others read, texts, reprs and logs."""

import copy
import io
import json
import logging
import os
import pickle
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
from typer.testing import CliRunner

from crypto.encoding import b64u
from crypto.errors import Malformed
from ledger.plans import Kind
from node import bootstrap, offline
from node.adapters.keyring import (
    SECRETS,
    Keyring,
    generate_keys,
    load_keys,
    write_secret,
)
from node.adapters.system import system_randomness
from node.bootstrap.operators import operators_of
from node.cli.app import app
from node.config import Settings, load
from node.domain.draft import Draft
from node.errors import BadRequest, Conflict, NodeError
from node.ports.aggregates import Shared
from tests.support import REPOSITORY

SUITES = ("ed25519", "x25519", "secp256k1", "bls12381g2")
SECRET = "sEcReT-pAsSwOrD"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    generate_keys(tmp_path / "keys", system_randomness)
    return tmp_path / "keys"


def contents(folder: Path) -> set[str]:
    return {file.read_text().strip() for file in folder.glob("*.key")}


def everything_said(error: BaseException) -> str:
    """Return the text of an error with all that a traceback would show of it."""
    return "".join(traceback.format_exception(error)) + repr(error)


# --- key files --------------------------------------------------------------


def test_new_keys_are_their_owners_only(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = sorted(folder.iterdir())
    assert [file.stem for file in files] == sorted(SUITES)
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(contents(folder)) == 4


def test_new_keys_are_their_owners_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        generate_keys(tmp_path / "keys", system_randomness)
        write_secret(tmp_path / "operator.token", b"s" * 32)
    finally:
        os.umask(before)
    for file in (*(tmp_path / "keys").iterdir(), tmp_path / "operator.token"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keys_that_are_there_are_never_overwritten(folder: Path) -> None:
    before = contents(folder)
    (folder / "x25519.key").unlink()
    with pytest.raises(Conflict, match=r"keys\.exist"):
        generate_keys(folder, system_randomness)
    assert contents(folder) < before
    with pytest.raises(FileExistsError):
        write_secret(folder / "ed25519.key", b"s" * 32)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o610, 0o601, 0o777])
@pytest.mark.parametrize("suite", SUITES)
def test_a_key_that_others_can_read_is_refused(
    folder: Path, suite: str, mode: int
) -> None:
    file = folder / f"{suite}.key"
    file.chmod(mode)
    with pytest.raises(BadRequest, match=r"keys\.exposed.*chmod 600") as raised:
        load_keys(folder, {})
    assert file.read_text().strip() not in everything_said(raised.value)


@pytest.mark.parametrize("mode", [0o600, 0o400])
def test_a_key_that_its_owner_can_read_is_used(folder: Path, mode: int) -> None:
    for file in folder.iterdir():
        file.chmod(mode)
    assert isinstance(load_keys(folder, {}), Keyring)


@pytest.mark.parametrize(
    "octets",
    [b"", b"\n", SECRET.encode(), b"\xff\xfe" + SECRET.encode(), b64u(b"s" * 31).encode(),
     b64u(b"s" * 33).encode(), b64u(bytes(32)).encode() + b"=", "密钥".encode(),
     SECRET.encode() + b"\x00"],
)  # fmt: skip
@pytest.mark.parametrize("suite", SUITES)
def test_a_key_that_is_none_is_refused_and_not_repeated(
    folder: Path, suite: str, octets: bytes
) -> None:
    (folder / f"{suite}.key").write_bytes(octets)
    with pytest.raises(BadRequest, match=rf"keys\.unusable.*{suite}") as raised:
        load_keys(folder, {})
    said = everything_said(raised.value)
    assert SECRET not in said
    assert repr(octets) not in said


def test_a_key_that_is_missing_is_named(folder: Path) -> None:
    (folder / "bls12381g2.key").unlink()
    with pytest.raises(BadRequest, match=r"keys\.unusable.*bls12381g2"):
        load_keys(folder, {})


def test_a_key_in_the_environment_goes_before_the_file(folder: Path) -> None:
    other = b64u(b"o" * 32)
    file = folder / "ed25519.key"
    file.chmod(0o644)
    keys = load_keys(folder, {"FIELDPACT_KEY_ED25519": other})
    file.chmod(0o600)
    assert keys.ed25519.public_bytes != load_keys(folder, {}).ed25519.public_bytes
    with pytest.raises(BadRequest) as raised:
        load_keys(folder, {"FIELDPACT_KEY_ED25519": SECRET})
    assert SECRET not in everything_said(raised.value)


def test_no_dataset_can_name_a_key_as_its_source() -> None:
    """Its content would be part of an address, and of an error about it."""
    source = SECRETS
    assert all(f"{source}{suite.upper()}".startswith(source) for suite in SUITES)


def test_a_key_shows_itself_to_nobody(folder: Path) -> None:
    keys = load_keys(folder, {})
    secrets = contents(folder)
    for suite in SUITES:
        key = getattr(keys, suite)
        for shown in (repr(key), str(key), f"{key}", repr(keys), repr({1: [key]})):
            assert not any(secret in shown for secret in secrets)
        for act in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises((TypeError, pickle.PicklingError)):
                act(key)
        with pytest.raises(TypeError):
            json.dumps(key)
        assert key != getattr(load_keys(folder, {}), suite)


# --- operator tokens --------------------------------------------------------


@pytest.fixture
def node(tmp_path: Path) -> Path:
    """The settings file of a new node."""
    return offline.new_node(
        tmp_path / "node",
        name={"en": "A", "zh": "甲"},
        url="http://127.0.0.1:9",
        listen="127.0.0.1:9",
    )


def test_what_only_we_know_of_a_plan_shows_in_no_repr() -> None:
    """Keys of plans on their way to workers; our customers and our weights."""
    draft = Draft(
        kind=Kind.HEAT_MAP,
        mode="R",
        agreements=("agreement-1",),
        purpose="service",
        customers=(SECRET,),
        weights={"fault": {SECRET: 3}},
        segments={"good": [SECRET]},
    )
    key = Shared(digest=bytes(32), octets=SECRET.encode())
    assert SECRET not in f"{draft} {key} {[draft, key]!r}"


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o602])
def test_an_operator_token_that_others_can_read_is_refused(
    node: Path, mode: int
) -> None:
    token = node.parent / "management.token"
    token.chmod(mode)
    with pytest.raises(BadRequest, match=r"token\.exposed") as raised:
        bootstrap.application(load(node))
    assert token.read_text().strip() not in everything_said(raised.value)


@pytest.mark.parametrize("text", ["", " \n", "password", "x" * 31, "é" * 40])
def test_an_operator_token_that_can_be_guessed_is_refused(
    node: Path, text: str
) -> None:
    token = node.parent / "audit.token"
    token.write_text(text)
    with pytest.raises(BadRequest, match=r"token\.(short|unreadable)") as raised:
        bootstrap.application(load(node))
    assert "password" not in everything_said(raised.value)


def test_one_token_is_not_two_operators(node: Path) -> None:
    """The role of the one would silently be the role of the other."""
    same = (node.parent / "management.token").read_text()
    (node.parent / "audit.token").write_text(same)
    with pytest.raises(BadRequest, match=r"token\.shared") as raised:
        bootstrap.application(load(node))
    assert same.strip() not in everything_said(raised.value)


def test_operator_tokens_are_held_as_digests(node: Path) -> None:
    held = operators_of(load(node))
    tokens = {file.read_text().strip() for file in node.parent.glob("*.token")}
    assert sorted(held.values()) == ["audit", "management"]
    assert not tokens & set(held)


# --- settings ---------------------------------------------------------------

SECRETIVE = f"""
database: postgresql://fieldpact:{SECRET}@127.0.0.1:9/fieldpact
chain: {{url: "https://rpc.example.test/v1/{SECRET}", contract: "0x00"}}
"""


def put(node: Path, yaml: str) -> None:
    """Write settings in the place of those with the same names."""
    names = {line.partition(":")[0] for line in yaml.splitlines()}
    lines = node.read_text().splitlines()
    kept = [line for line in lines if line.partition(":")[0] not in names]
    node.write_text("\n".join(kept) + "\n" + yaml)


def test_settings_do_not_show_the_passwords_in_their_addresses(node: Path) -> None:
    put(node, SECRETIVE)
    settings = load(node)
    assert SECRET in settings.database
    for shown in (repr(settings), str(settings), repr(settings.chain), f"{settings}"):
        assert SECRET not in shown


@pytest.mark.parametrize(
    "yaml",
    [
        f"database: [{SECRET}]\n",
        f"database: {{url: {SECRET}}}\n",
        f"database: {SECRET}\nlisten: nowhere\n",
        f"database: x\nmore: {SECRET}\n",
        f"database: x\nintegrate_every_s: {SECRET}\n",
        f"database: x\noperators: [{{role: {SECRET}, token: a}}]\n",
        f"database: x\npolicy: https://user:{SECRET}@opa.test\n",
        f"database: x\npolicy: https://opa.test/{SECRET}\n",
        f"database: x\npolicy: {SECRET}\n",
        f"database: x\nchain: {SECRET}\n",
        f"database: 'x\n{SECRET}\n",
        f"database: x\ndatabase: {SECRET}\n",
        f"database: x\n\t- {SECRET}\n",
        f"database: !secret {SECRET}\n",
        f"- {SECRET}\n",
    ],
)
def test_a_wrong_setting_is_refused_and_not_repeated(node: Path, yaml: str) -> None:
    put(node, yaml)
    with pytest.raises(BadRequest) as raised:
        load(node)
    assert SECRET not in everything_said(raised.value)


@pytest.mark.parametrize(
    ("yaml", "name"),
    [
        ("url: ftp://a.test\n", "url"),
        ("url: http://a.test\n", "url"),
        ("url: https://a.test/path\n", "url"),
        (f"url: https://user:{SECRET}@a.test\n", "url"),
        ("listen: '0.0.0.0'\n", "listen"),
        ("listen: a:99999\n", "listen"),
        ("epoch_s: 0\n", "epoch_s"),
        ("policy: opa.test:8181\n", "policy"),
        ("policy: ftp://opa.test\n", "policy"),
        ("company: {max_rows: 0}\n", "company.max_rows"),
        ("company: {denied_fields: [Phone]}\n", "company.denied_fields"),
        ("company: {denied_partners: [charger]}\n", "company.denied_partners"),
        ("company: {denied: [x]}\n", "company.denied"),
    ],
)
def test_a_wrong_setting_is_refused_with_its_name(
    node: Path, yaml: str, name: str
) -> None:
    put(node, yaml)
    with pytest.raises(BadRequest, match=r"settings\.invalid") as raised:
        load(node)
    assert name in raised.value.detail
    assert SECRET not in everything_said(raised.value)


@pytest.mark.parametrize("name", ["NAME", "OPERATORS", "CHAIN", "COMPANY", "EPOCH_S"])
def test_a_wrong_variable_is_refused_with_its_name(
    node: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"FIELDPACT_{name}", SECRET)
    with pytest.raises(BadRequest, match=r"settings\.invalid") as raised:
        load(node)
    assert name.lower() in raised.value.detail.lower()
    assert SECRET not in everything_said(raised.value)


def test_the_environment_goes_before_the_file(
    node: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIELDPACT_EPOCH_S", "77")
    monkeypatch.setenv("FIELDPACT_COMPANY__MAX_ROWS", "5")
    settings = load(node)
    assert (settings.epoch_s, settings.company.max_rows) == (77, 5)


# --- what is printed and logged ---------------------------------------------


@pytest.mark.parametrize(("more", "count"), [([], 4), (["--suite", "sm2"], 5)])
def test_the_command_that_makes_keys_prints_none(
    tmp_path: Path, more: list[str], count: int
) -> None:
    command = ["keys", "new", str(tmp_path / "keys"), *more]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0
    assert len(list((tmp_path / "keys").iterdir())) == count
    assert not any(secret in done.output for secret in contents(tmp_path / "keys"))
    again = CliRunner().invoke(app, command)
    assert again.exit_code == 1
    assert not any(secret in again.output for secret in contents(tmp_path / "keys"))


def test_the_command_that_makes_a_node_prints_no_secret(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app,
        ["init", str(tmp_path / "n"), "--name", "A", "--name-zh", "甲",
         "--url", "http://127.0.0.1:9"],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    hidden = contents(tmp_path / "n" / "keys") | {
        file.read_text().strip() for file in (tmp_path / "n").glob("*.token")
    }
    assert len(hidden) == 6
    assert not any(secret in done.output for secret in hidden)
    shown = CliRunner().invoke(
        app, ["partner", "show", "-s", str(tmp_path / "n/node.yaml")]
    )
    assert shown.exit_code == 0, shown.output
    assert json.loads(shown.output)["did"]
    assert not any(secret in shown.output for secret in hidden)


@pytest.mark.parametrize(
    "place",
    [
        f"postgresql://fieldpact:{SECRET}@127.0.0.1:9/fieldpact",
        f"postgresql://fieldpact:{SECRET}@[broken/fieldpact",
        f"postgresql://fieldpact:{SECRET}@127.0.0.1:port/fieldpact",
        f"mysql://fieldpact:{SECRET}@127.0.0.1:9/fieldpact",
        f"no address with {SECRET}",
    ],
)
async def test_a_database_that_does_not_answer_is_not_named_with_its_password(
    node: Path, place: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    put(node, f"database: '{place}'\n")
    settings: Settings = load(node)
    with pytest.raises(NodeError) as raised:
        async with bootstrap.running(settings):
            pass
    assert SECRET not in everything_said(raised.value)
    assert SECRET not in caplog.text


def test_a_node_that_cannot_start_says_why_and_no_secret(node: Path) -> None:
    put(node, f"database: postgresql://fieldpact:{SECRET}@127.0.0.1:9/x\n")
    done = subprocess.run(
        [sys.executable, "-m", "node", "serve", "-s", str(node)],
        cwd=REPOSITORY,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode != 0
    assert "store.unavailable" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    hidden = contents(node.parent / "keys")
    assert not any(secret in done.stdout + done.stderr for secret in hidden)


def test_randomness_of_keys_is_the_systems() -> None:
    assert len({system_randomness(32) for _ in range(100)}) == 100
    assert [len(system_randomness(size)) for size in (0, 1, 16, 64)] == [0, 1, 16, 64]


def test_a_suite_that_refuses_some_bytes_gets_others(tmp_path: Path) -> None:
    """Zero is no key of secp256k1 or BLS; it is drawn again, not stored."""
    drawn = iter([bytes(32), b"e" * 32, bytes(32), b"\x11" * 32, bytes(32)])
    left = io.BytesIO(system_randomness(512))

    def draw(size: int, /) -> bytes:
        return next(drawn, None) or left.read(size)

    generate_keys(tmp_path / "keys", draw)
    keys = load_keys(tmp_path / "keys", {})
    assert keys.secp256k1.address.startswith("0x")
    with pytest.raises(Malformed):
        type(keys.secp256k1).from_bytes(bytes(32))
    zeros = b64u(bytes(32))
    for suite in ("secp256k1", "bls12381g2"):
        assert (tmp_path / "keys" / f"{suite}.key").read_text().strip() != zeros
