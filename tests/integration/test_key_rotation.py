"""Keys that are rotated and revoked: their files, their records, and the registry."""

import json
import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from typer.testing import CliRunner, Result

from crypto.keyids import Suite, fragment
from examples.federation import configure
from ledger.participants import Participant
from ledger.registry import fingerprint
from node import offline
from node.cli.app import app
from node.config import load
from node.offline import rotating
from tests.integration.test_consortium import World, said
from tests.support.chain import node, opened

ROTATED: tuple[Suite, ...] = ("ed25519", "x25519", "bls12381g2")


class Members(World):
    """Two companies that are members and have registered their keys."""

    def __init__(self, folder: Path, url: str) -> None:
        super().__init__(folder, url, "maker", "supplier")
        self.found("maker", "supplier")
        for name in self.settings:
            assert self.keys(name, "keys", group="consortium").exit_code == 0

    def keys(self, name: str, *words: str, group: str = "keys") -> Result:
        settings = ["--settings", str(self.file(name))]
        return CliRunner().invoke(app, [group, *words, *settings])

    def rotate(self, name: str, suite: str, *words: str) -> dict[str, Any]:
        done = self.keys(name, "rotate", suite, "--json", *words)
        assert done.exit_code == 0, said(done)
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    def own(self, name: str) -> Participant:
        """Return the record with the keys that the files hold."""
        return offline.own_record(load(self.file(name)))

    def pinned(self, name: str) -> Participant:
        records = offline.read_registry(self.folder / "registry.json")
        return next(each for each in records if each.did == self.did(name))

    def held(self, name: str) -> dict[str, bytes]:
        with offline.registry(load(self.file(name))) as registry:
            return dict(registry.history(self.did(name)).now.keys)

    def check(self, name: str) -> None:
        """Check that files, pins and contract hold the same keys."""
        own, pinned = self.own(name), self.pinned(name)
        assert own == pinned
        assert self.held(name) == {
            suite: fingerprint(suite, public) for suite, public in own.keys.items()
        }
        assert not list((self.folder / name / "keys").glob("*.next"))


@pytest.fixture
def members(tmp_path: Path) -> Iterator[Members]:
    with ExitStack() as stack:
        url = stack.enter_context(node(stack.enter_context(opened())))
        yield Members(tmp_path, url)


@pytest.mark.parametrize("suite", ROTATED)
def test_a_key_is_rotated_in_its_file_its_record_and_the_contract(
    members: Members, suite: Suite
) -> None:
    before = members.own("maker")
    told = members.rotate("maker", suite)
    after = members.own("maker")
    members.check("maker")
    assert after.keys[suite] != before.keys[suite]
    assert {**before.keys, suite: b""} == {**after.keys, suite: b""}
    assert (told["was"], told["is"]) == (before.key_id(suite), after.key_id(suite))
    assert members.pinned("supplier") == members.own("supplier")
    passed = [past.key.public for past in after.past_keys]
    assert passed == ([before.keys[suite]] if suite == "ed25519" else [])


def test_the_old_key_is_kept_where_its_owner_alone_can_read_it(
    members: Members,
) -> None:
    folder = members.folder / "maker" / "keys"
    secret = (folder / "ed25519.key").read_bytes()
    members.rotate("maker", "ed25519")
    [kept] = folder.glob("*.old")
    assert kept.read_bytes() == secret
    for file in (kept, folder / "ed25519.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_keys_are_rotated_again_and_again_and_all_stay_pinned(members: Members) -> None:
    keys = [members.own("maker").keys["ed25519"]]
    for _ in range(2):
        members.rotate("maker", "ed25519")
        keys.append(members.own("maker").keys["ed25519"])
    own = members.own("maker")
    assert [past.key.public for past in own.past_keys] == keys[1::-1]
    assert own.verifier(own.verifiers[2].key_id(own.did)).public == keys[0]
    shown = CliRunner().invoke(
        app, ["partner", "show", "--settings", str(members.file("maker"))]
    )
    assert len(json.loads(shown.stdout)["past_keys"]) == 2


def test_what_is_left_to_do_is_said_and_not_mixed_with_data(members: Members) -> None:
    for suite, words in (
        ("ed25519", "Restart the node"),
        ("bls12381g2", "Publish every dataset again"),
        ("x25519", "declare their customers again"),
    ):
        done = members.keys("maker", "rotate", suite)
        assert words in said(done)
        assert words not in done.stdout
        assert done.stdout.splitlines()[1].startswith(f"{suite}\t")


def _cut(what: str) -> Any:
    return mock.patch.object(rotating, what, side_effect=OSError("power cut"))


@pytest.mark.parametrize("step", ["follow", "write_registry", "put_in_place"])
@pytest.mark.parametrize("suite", ["ed25519", "bls12381g2"])
def test_a_rotation_that_was_cut_short_is_finished_by_the_next(
    members: Members, step: str, suite: str
) -> None:
    settings = load(members.file("maker"))
    before = members.own("maker").keys["ed25519"]
    with _cut(step), pytest.raises(OSError, match="power cut"):
        offline.rotate_key(settings, suite)
    [following] = settings.keys.glob("*.next")
    secret = following.read_bytes()
    members.rotate("maker", suite)
    members.check("maker")
    assert (settings.keys / f"{suite}.key").read_bytes() == secret
    passed = [past.key.public for past in members.own("maker").past_keys]
    assert passed == ([before] if suite == "ed25519" else [])


def test_while_the_chain_is_silent_nothing_changes(members: Members) -> None:
    before = members.own("maker"), members.pinned("maker")
    registry = load(members.file("maker")).chain
    assert registry is not None
    configure(
        members.folder / "maker",
        chain=registry.model_dump(exclude_none=True) | {"url": "http://127.0.0.1:9"},
    )
    refused = members.keys("maker", "rotate", "ed25519")
    assert refused.exit_code == 1
    assert "chain.unavailable" in refused.output
    assert (members.own("maker"), members.pinned("maker")) == before


def test_without_a_registry_contract_files_and_record_are_rotated(
    members: Members,
) -> None:
    members.set("maker")
    members.rotate("maker", "ed25519")
    assert members.own("maker") == members.pinned("maker")
    assert members.own("maker").past_keys


def test_a_stolen_key_is_revoked_and_never_set_again(members: Members) -> None:
    old = members.own("maker").keys["ed25519"]
    members.rotate("maker", "ed25519", "--revoke")
    members.check("maker")
    settings = load(members.file("maker"))
    with offline.registry(settings) as registry:
        changes = registry.history(settings.did).changes
    last = [getattr(change, "fingerprint", None) for change in changes[-2:]]
    assert last == [None, members.held("maker")["ed25519"]]
    assert fingerprint("ed25519", old) not in members.held("maker").values()


def test_a_key_is_revoked_at_once_by_its_fingerprint(members: Members) -> None:
    name = members.held("maker")["x25519"].hex()
    for wrong in (name[:7], "ab" * 32, ""):
        refused = members.keys("maker", "revoke", "x25519", wrong)
        assert refused.exit_code == 1
        assert "registry.refused" in refused.output
        assert name in said(refused)
    done = members.keys("maker", "revoke", "x25519", name[:8].upper())
    assert done.exit_code == 0
    assert done.stdout.splitlines()[1] == f"x25519\t{name}\trevoked"
    assert "x25519" not in members.held("maker")
    refused = members.keys("maker", "keys", group="consortium")
    assert "key was revoked" in said(refused)
    members.rotate("maker", "x25519")
    members.check("maker")
    none = members.keys("maker", "revoke", "sm4", name)
    assert "none does" in said(none)


def test_a_new_account_waits_for_votes_and_then_registers_every_key(
    members: Members,
) -> None:
    before = members.own("maker")
    asked = members.rotate("maker", "secp256k1")
    assert asked["state"] == "waits for votes"
    assert members.own("maker") == members.pinned("maker") == before
    assert members.rotate("maker", "secp256k1") == asked
    for voter in ("maker", "supplier"):
        vote = ("vote", before.did, asked["account"])
        voted = members.keys(voter, *vote, group="consortium")
        assert voted.exit_code == 0, said(voted)
    assert members.held("maker") == {}
    done = members.rotate("maker", "secp256k1")
    assert done["state"] == "rotated"
    members.check("maker")
    assert members.own("maker").chain_address == asked["account"]
    assert members.own("maker").past_keys == ()


@pytest.mark.parametrize("suite", ["rot13", "ED25519", ""])
def test_a_suite_that_the_node_has_no_key_of_is_refused(
    members: Members, suite: str
) -> None:
    refused = members.keys("maker", "rotate", suite)
    assert refused.exit_code == 1
    assert "keys.unknown" in refused.output


def test_a_key_of_the_environment_is_not_rotated(
    members: Members, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = (members.folder / "maker" / "keys" / "ed25519.key").read_text()
    monkeypatch.setitem(os.environ, "FIELDPACT_KEY_ED25519", secret)
    refused = members.keys("maker", "rotate", "ed25519")
    assert refused.exit_code == 1
    assert "keys.environment" in refused.output
    assert not list((members.folder / "maker" / "keys").glob("*.next"))


def test_a_next_key_that_cannot_be_used_is_told_and_not_replaced(
    members: Members,
) -> None:
    following = members.folder / "maker" / "keys" / "ed25519.next"
    following.write_text("half a k")
    following.chmod(0o600)
    refused = members.keys("maker", "rotate", "ed25519")
    assert refused.exit_code == 1
    assert "keys.unusable" in refused.output
    assert following.read_text() == "half a k"
    following.chmod(0o644)
    assert "keys.exposed" in members.keys("maker", "rotate", "ed25519").output


def test_keys_are_listed_by_id_and_fingerprint(members: Members) -> None:
    own = members.own("maker")
    told = json.loads(members.keys("maker", "list", "--json").stdout)
    assert [each["id"] for each in told] == [own.key_id(suite) for suite in own.keys]
    assert {each["suite"]: each["fingerprint"] for each in told} == {
        suite: name.hex() for suite, name in members.held("maker").items()
    }
    assert len(members.keys("maker", "list").stdout.splitlines()) == 1 + len(told)


def test_keys_of_a_node_are_made_alone(tmp_path: Path) -> None:
    made = CliRunner().invoke(app, ["keys", "new", str(tmp_path / "keys")])
    assert made.exit_code == 0
    assert len(made.stdout.splitlines()) == len(list((tmp_path / "keys").glob("*.key")))
    again = CliRunner().invoke(app, ["keys", "new", str(tmp_path / "keys")])
    assert "keys.exist" in again.output


def _pin(members: Members, file: Path, record: Participant, **changes: Any) -> Result:
    """Pin a record at a partner that has a registry file of its own."""
    told = members.folder / "told.json"
    told.write_text(json.dumps(record.to_json() | changes))
    configure(members.folder / "supplier", participants=str(file))
    words = ["partner", "add", str(told), "--yes"]
    settings = ["--settings", str(members.file("supplier"))]
    return CliRunner().invoke(app, [*words, *settings])


@pytest.mark.parametrize("disowned", [False, True])
def test_a_partner_pins_the_new_key_and_forgets_none_that_it_had_pinned(
    members: Members, disowned: bool
) -> None:
    own_file = members.folder / "own.json"
    own_file.write_bytes((members.folder / "registry.json").read_bytes())
    before = members.own("maker")
    members.rotate("maker", "ed25519")
    members.rotate("maker", "x25519")
    changes: dict[str, Any] = {"past_keys": []} if disowned else {}
    done = _pin(members, own_file, members.own("maker"), **changes)
    assert done.exit_code == 0, said(done)
    for suite in ("ed25519", "x25519"):
        old = fragment(suite, before.keys[suite])
        assert f"{suite} changes: {old} was pinned" in said(done)
    pinned = {each.did: each for each in offline.read_registry(own_file)}[before.did]
    assert pinned.keys == members.own("maker").keys
    assert [past.key for past in pinned.past_keys] == [before.signing]
    again = _pin(members, own_file, members.own("maker"))
    assert "changes" not in said(again)


def test_a_key_that_comes_back_is_no_past_key(members: Members) -> None:
    own_file = members.folder / "own.json"
    own_file.write_bytes((members.folder / "registry.json").read_bytes())
    first = members.own("maker")
    members.rotate("maker", "ed25519")
    second = members.own("maker")
    _pin(members, own_file, second)
    done = _pin(members, own_file, first)
    assert done.exit_code == 0, said(done)
    pinned = {each.did: each for each in offline.read_registry(own_file)}[first.did]
    assert [past.key for past in pinned.past_keys] == [second.signing]


def test_an_sm2_key_is_rotated_too(tmp_path: Path) -> None:
    file = offline.new_node(
        tmp_path / "gm",
        name={"en": "gm", "zh": "gm"},
        url="http://127.0.0.1:9190",
        listen="127.0.0.1:9190",
        suite="sm2",
    )
    before = offline.own_record(load(file))
    done = offline.rotate_key(load(file), "sm2")
    after = offline.own_record(load(file))
    assert done.now == after.key_id("sm2") != before.key_id("sm2")
    assert after.suite == "sm2"
    assert [past.key for past in after.past_keys] == [before.signing]
    assert offline.read_registry(load(file).participants) == [after]
