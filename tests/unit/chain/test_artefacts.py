"""What is committed of each contract: its source's form, and what was made of it."""

import json
import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from crypto.errors import Malformed
from ledger.contracts import HERE, Artefact, anchors, build, calls, participants
from tests.support import REPOSITORY

ARTEFACTS = {"Anchors": anchors(), "Participants": participants()}
ORDER = (
    r"# pragma ",
    r'"""',
    r"import |from ",
    r"[A-Z]+: constant\(",
    r"[A-Z]+: (?:public\()?immutable\(",
    r"struct ",
    r"_?[a-z_]+: ",
    r"event ",
    r"@deploy",
    r"@external",
    r"@internal",
)
FUNCTION = re.compile(
    r'^def (\w+)\(([^)]*)\)([^:]*):\n    """(.*?)"""', re.MULTILINE | re.DOTALL
)


@pytest.fixture(params=ARTEFACTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def source(name: str) -> str:
    return (HERE / f"{name}.vy").read_text("utf-8")


@pytest.fixture
def artefact(name: str) -> Artefact:
    return ARTEFACTS[name]


def test_every_contract_has_its_artefact() -> None:
    assert {path.stem for path in HERE.glob("*.vy")} == set(build.NAMES)
    assert set(build.NAMES) == set(ARTEFACTS)


def test_the_committed_artefact_is_what_the_compiler_makes_of_the_source(
    name: str,
) -> None:
    assert (HERE / f"{name}.json").read_text("utf-8") == build.render(name)


def test_a_source_for_another_evm_is_not_built(
    name: str, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "EVM", "cancun")
    with pytest.raises(ValueError, match="evm-version cancun"):
        build.render(name)


def opcodes(code: bytes) -> Iterator[int]:
    at = 0
    while at < len(code):
        yield code[at]
        at += 1 + max(0, code[at] - 0x5F) * (0x60 <= code[at] <= 0x7F)


def test_the_code_runs_on_a_london_genesis_and_so_knows_no_push0(
    artefact: Artefact,
) -> None:
    assert artefact.compiler["evm"] == "london"
    assert 0x5F not in opcodes(artefact.runtime)


def test_selectors_and_topics_are_hashes_of_what_they_name(artefact: Artefact) -> None:
    def spelt(entry: dict[str, object]) -> str:
        inputs = entry["inputs"]
        assert isinstance(inputs, list)
        return f"{entry['name']}({','.join(given['type'] for given in inputs)})"

    by_kind = {"function": artefact.selectors, "event": artefact.topics}
    for kind, held in by_kind.items():
        found = [spelt(entry) for entry in artefact.abi if entry["type"] == kind]
        hashes = {spelling.partition("(")[0]: keccak(spelling.encode()) for spelling in found}  # fmt: skip
        assert held == {
            n: h[:4] if kind == "function" else h for n, h in hashes.items()
        }


def test_no_function_takes_money_and_there_is_no_fallback(artefact: Artefact) -> None:
    kinds = {entry["type"] for entry in artefact.abi}
    mutability = {entry.get("stateMutability") for entry in artefact.abi}
    assert kinds <= {"function", "event", "constructor"}
    assert mutability <= {"view", "nonpayable", None}


def test_the_source_calls_nobody_and_has_no_way_to_be_replaced(source: str) -> None:
    code = re.sub(r'""".*?"""|#[^\n]*|"[^"\n]*"', "", source, flags=re.DOTALL)
    for word in ("raw_call", "extcall", "staticcall", "selfdestruct", "delegate",
                 "create_", "interface", "owner", "upgrade", "send("):  # fmt: skip
        assert word not in code


def test_declarations_stand_in_one_order(source: str) -> None:
    flat = re.sub(r'""".*?"""', '"""', source, flags=re.DOTALL)
    seen = [
        place
        for line in flat.splitlines()
        for place, pattern in enumerate(ORDER)
        if re.match(pattern, line)
    ]
    assert all(first <= second for first, second in pairwise(seen))


def test_every_function_says_in_natspec_what_it_does_takes_and_gives(
    source: str,
) -> None:
    documented = {each[0]: each[1:] for each in FUNCTION.findall(source)}
    assert set(documented) == set(re.findall(r"^def (\w+)", source, re.MULTILINE))
    for name, (parameters, gives, words) in documented.items():
        named = re.findall(r"(\w+):", parameters)
        assert "@notice " in words, name
        assert re.findall(r"@param (\w+) ", words) == named, name
        assert ("@return " in words) == ("->" in gives), name


def test_the_pages_name_every_selector_and_what_it_costs() -> None:
    gas = json.loads((HERE / "gas.json").read_text("utf-8"))
    for name, page in (("Anchors", "anchoring"), ("Participants", "registry")):
        text = (REPOSITORY / f"docs/protocols/{page}.md").read_text("utf-8")
        named = re.findall(r"`([0-9a-f]{8})`", text)
        held = ARTEFACTS[name].selectors.values()
        assert sorted(named) == sorted(selector.hex() for selector in held)
        for cost in gas[name].values():
            assert f"{cost:,}".replace(",", " ") in text.replace("\n", " ")


# -- call data ---------------------------------------------------------------

DID = "did:web:127.0.0.1%3A8101"
ACCOUNT = "0x" + "aB" * 20
DIGEST = b"\x07" * 32


def test_call_data_is_what_the_abi_makes_of_the_arguments() -> None:
    word = b"sm2".ljust(32, b"\0")
    for made, signature, values in (
        (calls.anchor(epoch=2, commitment=DIGEST, previous=bytes(32)),
         "anchor(uint256,bytes32,bytes32)", (2, DIGEST, bytes(32))),
        (calls.vote(did=DID, account=ACCOUNT),
         "vote(string,address,bool)", (DID, ACCOUNT, True)),
        (calls.vote(did="did:x:" + "y" * 58, account=None, in_favour=False),
         "vote(string,address,bool)", ("did:x:" + "y" * 58, "0x" + "00" * 20, False)),
        (calls.set_key(suite="sm2", fingerprint=DIGEST), "set_key(bytes32,bytes32)", (word, DIGEST)),
        (calls.revoke_key(suite="sm2", fingerprint=DIGEST), "revoke_key(bytes32,bytes32)", (word, DIGEST)),
    ):  # fmt: skip
        types = signature.partition("(")[2].rstrip(")").split(",")
        assert made == keccak(signature.encode())[:4] + encode(types, values)


@pytest.mark.parametrize("count", [0, 1, 3])
def test_creation_code_ends_with_what_the_abi_makes_of_the_arguments(
    count: int,
) -> None:
    founders = [(DID + "x" * 31 * n, "0x" + f"{n + 1:02x}" * 20) for n in range(count)]
    made = calls.create_participants(founders, operator=ACCOUNT, majority=0)
    types = ["(string,address)[]", "address", "uint256"]
    assert made == participants().bytecode + encode(types, [founders, ACCOUNT, 0])


def test_what_is_no_did_account_suite_or_digest_makes_no_call_data() -> None:
    for did in ("", "did", "did:web:a b", "did:web:" + "x" * 201, "did:web:\ud800"):
        with pytest.raises(Malformed):
            calls.vote(did=did, account=None)
        assert not calls.is_did(did)
    for account in ("", "0x12", ACCOUNT[2:], ACCOUNT + "00", "0x" + "0" * 40):
        with pytest.raises(Malformed):
            calls.vote(did=DID, account=account)
    for suite in ("", "Ed25519", "-x", "a" * 33, "é"):
        with pytest.raises(Malformed):
            calls.set_key(suite=suite, fingerprint=DIGEST)
    for digest in (b"", bytes(31), bytes(33)):
        with pytest.raises(Malformed):
            calls.revoke_key(suite="sm2", fingerprint=digest)
