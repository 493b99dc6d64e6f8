"""The locks pin every package by hash, name no address, and agree."""

import re
import subprocess

import pytest

from tests.support import REPOSITORY

PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)", re.MULTILINE)
ADDRESS = re.compile(
    r"https?://\S+\.(whl|tgz|tar\.gz|zip|jar)\b"
    r"|\"resolved\":\s*\"http"
    r"|index-url|GOPROXY=http|registry=http"
)
LOCKS = ["requirements/main.txt", "requirements/dev.txt", "requirements/frontend.txt"]


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall((REPOSITORY / lock).read_text()))


def committed() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=False
    )
    if listed.returncode:
        pytest.skip("this is no git checkout")
    return [name for name in listed.stdout.decode().split("\0") if name]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pinned_package_carries_a_hash(lock: str) -> None:
    blocks = re.split(r"\n(?=[A-Za-z0-9])", (REPOSITORY / lock).read_text())

    assert blocks
    assert [b.split()[0] for b in blocks if "--hash=sha256:" not in b] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_names_no_address(lock: str) -> None:
    assert "://" not in (REPOSITORY / lock).read_text()


@pytest.mark.parametrize("lock", LOCKS)
def test_the_developers_lock_holds_every_pin_of_the_others(lock: str) -> None:
    developers = pins("requirements/dev.txt")

    differing = {
        name: (version, developers.get(name))
        for name, version in pins(lock).items()
        if developers.get(name) != version
    }
    assert differing == {}


def test_no_committed_file_names_a_registry_or_a_download() -> None:
    found = []
    for name in committed():
        path = REPOSITORY / name
        if name.startswith("tests/architecture/") or not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if match := ADDRESS.search(text):
            found.append((name, match.group(0)))

    assert found == []


def test_nothing_built_or_installed_is_committed() -> None:
    foreign = re.compile(
        r"\.min\.(js|css)$|(^|/)(node_modules|vendor|__pycache__|\.venv)/"
        r"|^dashboard/static/"
    )

    assert [name for name in committed() if foreign.search(name)] == []
