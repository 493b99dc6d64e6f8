"""`fieldpact consortium`, on the embedded chain: founders, votes, keys, members."""

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from examples.federation import configure, pin
from ledger.registry import fingerprint
from node import offline
from node.cli.consortium import app
from node.config import Settings, load
from tests.support.chain import node, opened

ANCHORS = "0x" + "aa" * 20
COMPANIES = ("maker", "supplier", "operator")


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def said(result: Result) -> str:
    """Return everything that was printed, without breaks of lines."""
    return " ".join(result.output.split())


class World:
    """Companies with a folder each, and a chain; no node runs."""

    def __init__(self, folder: Path, url: str, *names: str) -> None:
        self.folder, self.url = folder, url
        self.settings = {
            name: self._made(name, 9100 + number) for number, name in enumerate(names)
        }
        pin(folder / "registry.json", self.settings.values())

    def _made(self, name: str, port: int) -> Settings:
        folder = self.folder / name
        offline.new_node(
            folder,
            name={"en": name, "zh": name},
            url=f"http://127.0.0.1:{port}",
            listen=f"127.0.0.1:{port}",
        )
        (folder / "participants.json").unlink()
        configure(folder, participants="../registry.json")
        settings = self.set(name)
        record = offline.own_record(settings).to_json()
        (self.folder / f"{name}.json").write_text(json.dumps(record))
        return settings

    def file(self, name: str) -> Path:
        return self.folder / name / "node.yaml"

    def record(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def set(self, name: str, **chain: Any) -> Settings:
        """Write the chain into a company's settings."""
        values = {"url": self.url, "contract": ANCHORS} | chain
        return configure(self.folder / name, chain=values)

    def run(self, name: str, *words: str | Path) -> Result:
        return run(*words, "--settings", self.file(name))

    def found(self, *names: str, **chain: Any) -> str:
        """Create the registry, write it into all settings; return its address."""
        founders = [word for each in names for word in ("--founder", self.record(each))]
        made = self.run(names[0], "create", *founders)
        assert made.exit_code == 0, said(made)
        address = made.stdout.strip()
        for name in self.settings:
            self.set(name, registry=address, **chain)
        return address

    def did(self, name: str) -> str:
        return self.settings[name].did

    def account(self, name: str) -> str:
        return offline.own_record(self.settings[name]).chain_address

    def members(self, name: str, expect: int = 0) -> dict[str, Any]:
        listed = self.run(name, "members", "--json")
        assert listed.exit_code == expect, said(listed)
        return {each["did"]: each for each in json.loads(listed.stdout)}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ExitStack() as stack:
        url = stack.enter_context(node(stack.enter_context(opened())))
        yield World(tmp_path, url, *COMPANIES)


def test_a_company_joins_by_votes_and_registers_its_keys(world: World) -> None:
    address = world.found("maker", "supplier")
    assert address.startswith("0x")
    assert len(address) == 42
    joining = world.did("operator"), world.account("operator")

    refused = world.run("operator", "keys")
    assert refused.exit_code == 1
    assert "does not speak for" in said(refused)
    first = world.run("maker", "vote", *joining)
    assert f"{joining[0]}: 1 of 2 votes" in said(first)
    second = world.run("supplier", "vote", *joining, "--json")
    assert json.loads(second.stdout)["state"] == "carried"

    for name in COMPANIES:
        told = world.run(name, "keys", "--json")
        assert told.exit_code == 0, said(told)
        assert {each["state"] for each in json.loads(told.stdout)} == {"set"}
    again = world.run("maker", "keys")
    assert again.exit_code == 0
    assert [line.split("\t")[2] for line in again.stdout.splitlines()[1:]] == [
        "held"
    ] * len(offline.own_record(world.settings["maker"]).keys)

    found = world.members("maker")
    own = offline.own_record(world.settings["operator"])
    assert found[own.did]["account"] == own.chain_address
    assert found[own.did]["problems"] == []
    assert {
        suite: each["fingerprint"] for suite, each in found[own.did]["keys"].items()
    } == {suite: fingerprint(suite, public).hex() for suite, public in own.keys.items()}
    table = world.run("maker", "members")
    assert table.stdout.count("as pinned") == 3


def test_a_member_is_expelled_and_its_pin_is_told_to_be_wrong(world: World) -> None:
    world.found("maker", "supplier", "operator")
    for name in COMPANIES:
        assert world.run(name, "keys").exit_code == 0
    for name in ("maker", "supplier"):
        voted = world.run(name, "vote", world.did("operator"), "--expel")
        assert voted.exit_code == 0, said(voted)
    found = world.members("maker", expect=5)
    assert found[world.did("operator")]["status"] == "expelled"
    assert found[world.did("operator")]["problems"] == ["it was expelled"]
    assert found[world.did("operator")]["keys"] == {}


def test_a_pinned_company_that_never_joined_is_listed(world: World) -> None:
    world.found("maker")
    found = world.members("maker", expect=5)
    assert found[world.did("supplier")]["status"] == "unknown"
    assert found[world.did("supplier")]["since"] is None
    assert found[world.did("maker")]["problems"] == [
        f"no {suite} key holds"
        for suite in offline.own_record(world.settings["maker"]).keys
    ]


def test_a_vote_is_taken_back(world: World) -> None:
    world.found("maker", "supplier")
    joining = world.did("operator"), world.account("operator")
    world.run("maker", "vote", *joining)
    back = world.run("maker", "vote", *joining, "--withdraw")
    assert "0 of 2 votes" in said(back)


def test_who_has_no_vote_is_told_so(world: World) -> None:
    world.found("maker", "supplier")
    refused = world.run(
        "operator", "vote", world.did("operator"), world.account("operator")
    )
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert "registry.refused" in refused.output
    assert "sender has no vote" in said(refused)


def test_an_operator_founds_a_consortium_alone(world: World) -> None:
    made = world.run("maker", "create", "--operator", world.account("maker"))
    assert made.exit_code == 0, said(made)
    for name in COMPANIES:
        world.set(name, registry=made.stdout.strip())
    voted = world.run("maker", "vote", world.did("supplier"), world.account("supplier"))
    assert "carried" in said(voted)


def test_a_registry_file_names_all_founders_at_once(world: World) -> None:
    file = world.folder / "registry.json"
    made = world.run("maker", "create", "--founder", file, "--majority", "66")
    assert made.exit_code == 0, said(made)
    world.set("maker", registry=made.stdout.strip())
    assert len(world.members("maker", expect=5)) == 3


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("create",), "nobody could vote"),
        (("create", "--founder", "maker.json", "--majority", "30"), "50 to 99"),
        (("create", "--founder", "none.json"), "cannot be read"),
        (("create", "--founder", "maker/node.yaml"), "cannot be read"),
        (("vote", "did:web:x.example", "0x12"), "an address is"),
        (("vote", "nobody", "0x" + "ab" * 20), "did"),
    ],
)
def test_wrong_words_are_refused_in_a_sentence(
    world: World, words: tuple[str, ...], why: str
) -> None:
    world.found("maker")
    if words[0] == "create":
        world.set("maker")  # it names no registry yet
    paths = [
        str(world.folder / word) if word.endswith((".json", ".yaml")) else word
        for word in words
    ]
    refused = world.run("maker", *paths)
    assert refused.exit_code == 1, said(refused)
    assert refused.stdout == ""
    assert why in said(refused)


@pytest.mark.parametrize(
    "words",
    [
        ("create", "--operator", "0x" + "ab" * 20, "--majority", "60"),
        ("vote", "did:web:x.example"),
        ("vote", "did:web:x.example", "0x" + "ab" * 20, "--expel"),
    ],
)
def test_words_that_contradict_each_other_are_a_mistake_of_usage(
    world: World, words: tuple[str, ...]
) -> None:
    assert world.run("maker", *words).exit_code == 2


def test_without_a_registry_in_the_settings_nothing_is_sent(world: World) -> None:
    for words in (("members",), ("keys",), ("vote", world.did("maker"), "--expel")):
        refused = world.run("maker", *words)
        assert refused.exit_code == 1
        assert "registry.unset" in refused.output
    configure(world.folder / "maker", chain=None)
    refused = world.run("maker", "create", "--founder", world.record("maker"))
    assert "chain.unset" in refused.output


def test_a_registry_is_created_before_any_settings_name_a_chain(world: World) -> None:
    configure(world.folder / "maker", chain=None)
    made = world.run(
        "maker", "create", "--founder", world.record("maker"), "--chain", world.url
    )
    assert made.exit_code == 0, said(made)


def test_on_another_chain_nothing_is_sent(world: World) -> None:
    world.found("maker", "supplier")
    address = load(world.file("maker")).chain
    assert address is not None
    world.set("maker", registry=address.registry, chain_id=1)
    for words in (
        ("members",),
        ("keys",),
        ("vote", world.did("supplier"), "--expel"),
        ("create", "--founder", world.record("maker")),
    ):
        refused = world.run("maker", *words)
        assert refused.exit_code == 1
        assert "chain.unavailable" in refused.output
        assert "not 1" in said(refused)


def test_another_contract_is_not_taken_for_the_registry(world: World) -> None:
    world.found("maker")
    world.set("maker", registry=ANCHORS)
    refused = world.run("maker", "keys")
    assert refused.exit_code == 1
    assert "no participants contract" in said(refused)


def test_a_chain_that_does_not_answer_is_told(world: World) -> None:
    address = world.found("maker")
    world.url = "http://127.0.0.1:9"
    world.set("maker", registry=address)
    refused = world.run("maker", "members")
    assert refused.exit_code == 1
    assert "chain.unavailable" in refused.output


def test_a_genesis_file_is_printed() -> None:
    four = [f"0x{number:040x}" for number in range(1, 5)]
    words = [word for each in four for word in ("--validator", each)]
    made = run("genesis", *words, "--chain-id", "4242", "--block-period", "3")
    assert made.exit_code == 0
    assert json.loads(made.stdout)["config"]["qbft"]["blockperiodseconds"] == 3
    few = run("genesis", *words[:4], "--chain-id", "4242")
    assert few.exit_code == 1
    assert "4 validators at least" in said(few)


def test_a_registry_that_is_there_is_not_created_again(world: World) -> None:
    address = world.found("maker", "supplier")
    again = world.run("maker", "create", "--founder", world.record("maker"))
    assert again.exit_code == 0
    assert again.stdout.strip() == address
