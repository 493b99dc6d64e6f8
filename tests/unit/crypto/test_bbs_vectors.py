"""BBS against what others have published, and against an independent library."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from py_ecc.bls.hash import expand_message_xmd
from py_ecc.bls.hash_to_curve import hash_to_G1

from crypto.bbs import ARKWORKS, SHA_256, SHAKE_256, SUITES, Backend, BbsKey, Suite
from crypto.bbs.backends import G1
from crypto.bbs.backends.pyecc import PYECC
from crypto.bbs.generators import MAX_MESSAGES, generators
from crypto.conformance import BACKENDS, run_bbs, suites_in
from crypto.errors import Malformed
from tests.support import shared

SUITE_CHOICES = list(SUITES.values())

# P1 and Q1 as the draft gives them for the SHAKE-256 suite (sections 6.2.1, 8.3.3).
SHAKE_P1 = "8929dfbc7e6642c4ed9cba0856e493f8b9d7d5fcb0c31ef8fdcd34d50648a56c795e106e9eada6e0bda386b414150755"
SHAKE_Q1 = "a9d40131066399fd41af51d883f4473b0dcd7d028d3d34ef17f3241d204e28507d7ecae032afa1d5490849b7678ec1f8"


@pytest.mark.parametrize(
    "backend", [pytest.param("arkworks"), pytest.param("pyecc", marks=pytest.mark.slow)]
)
def test_all_official_fixtures_pass(backend: str) -> None:
    report = run_bbs(shared("vectors/bbs"), SHA_256, BACKENDS[backend])
    assert report.failures == ()
    assert report.passed == 30


def test_a_suite_folder_is_found_by_itself_or_in_its_parent() -> None:
    parent = shared("vectors/bbs")
    assert suites_in(parent) == suites_in(parent / SHA_256.name) == [SHA_256]
    assert run_bbs(parent, SHA_256) == run_bbs(parent / SHA_256.name, SHA_256)


def test_a_folder_of_any_name_tells_its_suite_by_its_tags(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="do not tell"):
        suites_in(tmp_path)
    shutil.copytree(shared("vectors/bbs") / SHA_256.name, tmp_path / "renamed")
    assert suites_in(tmp_path) == suites_in(tmp_path / "renamed") == [SHA_256]
    assert run_bbs(tmp_path, SHA_256).passed == 30


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("proof/proof003.json", lambda case: case.update(presentationHeader="00")),
        ("proof/proof003.json", lambda case: case["result"].update(valid=False)),
        (
            "proof/proof003.json",
            lambda case: case["trace"]["random_scalars"].update(r1="01"),
        ),
        ("proof/proof006.json", lambda case: case["result"].update(valid=True)),
        ("proof/proof003.json", lambda case: case.pop("header")),
        ("signature/signature001.json", lambda case: case.update(header="00")),
        (
            "signature/signature001.json",
            lambda case: case["signerKeyPair"].update(secretKey="07" * 32),
        ),
        ("signature/signature005.json", lambda case: case["result"].update(valid=True)),
        ("generators.json", lambda case: case["MsgGenerators"].reverse()),
        ("h2s.json", lambda case: case.update(scalar="00" * 32)),
        ("keypair.json", lambda case: case.update(keyInfo="00")),
        ("mockedRng.json", lambda case: case.update(seed="00")),
        (
            "MapMessageToScalarAsHash.json",
            lambda case: case["cases"][3].update(message="00"),
        ),
        ("h2s.json", lambda case: case.clear()),
    ],
)
def test_a_fixture_that_says_something_else_fails_by_name(
    tmp_path: Path, file: str, change: Any
) -> None:
    folder = tmp_path / SHA_256.name
    shutil.copytree(shared("vectors/bbs") / SHA_256.name, folder)
    (folder / file).chmod(0o644)
    case = json.loads((folder / file).read_text())
    change(case)
    (folder / file).write_text(json.dumps(case))
    report = run_bbs(tmp_path, SHA_256)
    assert (report.passed, report.failed) == (29, 1)
    assert Path(file).name in report.failures[0]


@pytest.mark.parametrize(
    "content", ["", "[]", "{", "null", '"x"', '{"proof": 1, "signerPublicKey": 2}']
)
def test_a_file_that_is_no_fixture_fails_and_does_not_stop_the_run(
    tmp_path: Path, content: str
) -> None:
    (tmp_path / "a.json").write_text(content)
    assert run_bbs(tmp_path, SHA_256).failed == 1


def test_a_directory_without_fixtures_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        run_bbs(tmp_path, SHA_256)


def test_fixtures_of_one_suite_fail_under_the_other() -> None:
    report = run_bbs(shared("vectors/bbs") / SHA_256.name, SHAKE_256)
    assert any("signature001" in line for line in report.failures)
    assert any("proof001" in line for line in report.failures)


def test_the_shake_suite_has_the_generators_of_the_draft() -> None:
    points = generators(SHAKE_256, ARKWORKS, 1)
    assert ARKWORKS.encode_g1(points.base).hex() == SHAKE_P1
    assert ARKWORKS.encode_g1(points.header).hex() == SHAKE_Q1


@pytest.mark.parametrize("suite", SUITE_CHOICES, ids=lambda suite: suite.name)
def test_both_libraries_make_the_same_generators_and_keys(suite: Suite) -> None:
    def octets(backend: Backend) -> tuple[bytes, bytes]:
        points = generators(suite, backend, 3)
        return backend.encode_g1(points.base), points.octets

    assert octets(ARKWORKS) == octets(PYECC)
    ours, oracle = (
        BbsKey.generate(b"k" * 32, b"i", suite=suite, backend=backend)
        for backend in (ARKWORKS, PYECC)
    )
    assert ours.public_bytes == oracle.public_bytes


@pytest.mark.parametrize("suite", SUITE_CHOICES, ids=lambda suite: suite.name)
def test_generators_are_all_different_and_a_shorter_list_begins_a_longer_one(
    suite: Suite,
) -> None:
    points = generators(suite, ARKWORKS, 40)
    encoded = [
        ARKWORKS.encode_g1(point)
        for point in (points.base, points.header, *points.messages)
    ]
    assert len(set(encoded)) == 42
    shorter = generators(suite, ARKWORKS, 7)
    assert [ARKWORKS.encode_g1(point) for point in shorter.messages] == encoded[2:9]


def test_the_number_of_messages_is_bounded() -> None:
    for count in (-1, MAX_MESSAGES + 1, 10**9):
        with pytest.raises(Malformed):
            generators(SHA_256, ARKWORKS, count)


@pytest.mark.parametrize("length", [1, 31, 32, 33, 48, 128, 255 * 32])
@pytest.mark.parametrize("message", [b"", b"abc", b"m" * 1000])
def test_sha_256_expansion_is_that_of_an_independent_library(
    message: bytes, length: int
) -> None:
    expected = expand_message_xmd(message, b"DST", length, hashlib.sha256)  # type: ignore[arg-type]
    assert SHA_256.expand_message(message, b"DST", length) == expected


def test_hashing_to_the_curve_is_that_of_an_independent_library() -> None:
    points = generators(SHA_256, ARKWORKS, 0)
    tag = SHA_256.api_id + b"SIG_GENERATOR_SEED_"
    chain = SHA_256.expand_message(SHA_256.api_id + b"MESSAGE_GENERATOR_SEED", tag, 48)
    chain = SHA_256.expand_message(chain + (1).to_bytes(8, "big"), tag, 48)
    expected = hash_to_G1(chain, SHA_256.api_id + b"SIG_GENERATOR_DST_", hashlib.sha256)  # type: ignore[arg-type]
    assert ARKWORKS.encode_g1(points.header) == PYECC.encode_g1(G1(expected))


def test_a_domain_separation_tag_that_is_too_long_is_refused() -> None:
    with pytest.raises(Malformed):
        SHA_256.hash_to_scalar(b"", b"t" * 256)


def test_key_material_and_info_have_bounds() -> None:
    for material, info in ((b"k" * 31, b""), (b"k" * 32, bytes(65536))):
        with pytest.raises(Malformed):
            BbsKey.generate(material, info)
    made = {
        BbsKey.generate(b"k" * 32, info, suite=suite).public_bytes
        for info in (b"", b"i")
        for suite in SUITE_CHOICES
    }
    assert len(made) == 4
