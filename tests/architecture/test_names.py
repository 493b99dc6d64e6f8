"""The flat package names stay ours, and what is banned stays banned."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.support import REPOSITORY

OURS = ["crypto", "ledger", "node", "dashboard"]

BANNED = [
    ("import random\n", "random"),
    ("from Crypto.Hash import keccak\n", "Crypto"),
    ("import datetime\n\nNOW = datetime.datetime.now(datetime.UTC)\n", "Clock"),
    ("import time\n\nNOW = time.time()\n", "Clock"),
    ("import os\n\nHOME = os.environ['HOME']\n", "Settings"),
    ("from . import errors\n", "relative"),
]


@pytest.mark.parametrize("name", OURS)
def test_each_package_name_means_the_one_of_this_checkout(name: str) -> None:
    module = importlib.import_module(name)

    assert module.__file__ is not None
    assert Path(module.__file__).resolve().parent == REPOSITORY / name


@pytest.mark.parametrize("name", OURS)
def test_no_installed_package_bears_one_of_our_names(name: str) -> None:
    installed = Path(pytest.__file__).parents[1]

    assert not [p.name for p in installed.iterdir() if p.name in {name, f"{name}.py"}]


@pytest.mark.parametrize(("code", "word"), BANNED)
def test_the_linter_refuses_what_the_core_must_not_use(code: str, word: str) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "ruff", "check", "--no-cache", "--select", "TID",
         "--output-format", "concise", "--stdin-filename", "crypto/probe.py", "-"],
        input=code, capture_output=True, text=True, check=False, cwd=REPOSITORY,
    )  # fmt: skip

    assert told.returncode == 1
    assert word in told.stdout


def test_the_dashboard_and_the_node_share_no_import() -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
    layers = contracts["tool"]["importlinter"]["contracts"][0]["layers"]

    assert layers == ["node | dashboard", "ledger", "crypto"]


def test_web3_is_imported_by_one_module_only() -> None:
    users = {
        str(path.relative_to(REPOSITORY))
        for name in OURS
        for path in (REPOSITORY / name).rglob("*.py")
        if any(
            line.startswith(("import web3", "from web3"))
            for line in path.read_text(encoding="utf-8").splitlines()
        )
    }

    assert users == {"ledger/sender.py"}
