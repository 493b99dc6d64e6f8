"""`python -m examples.demo [--once] [--folder DIR]`: play the story.

With `--once` it ends after the story, with exit code 0 only if everything was as
it must be. Without, everything stays up to be looked at, until Ctrl-C.
"""

import argparse
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from examples.demo.narration import Teller
from examples.supervisor import AlreadyRunning, NotStarted, clear

BEGAN = time.monotonic()
_MARK = ".fieldpact-demo"


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="examples.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end after the story")
    parser.add_argument("--folder", type=Path, default=Path(".demo"))
    given = parser.parse_args()
    for name in [name for name in os.environ if name.startswith("FIELDPACT_")]:
        del os.environ[name]  # what a node of the demo is told stands in its folder
    for number in (signal.SIGINT, signal.SIGTERM):  # also where it was ignored
        signal.signal(number, _leave)
    tell = Teller()
    try:
        _prepare(given.folder)
        return _run(given.folder, tell, once=given.once)
    except AlreadyRunning as error:
        tell.bad(f"The demo is running already in {given.folder}: {error}.")
    except NotStarted as error:
        tell.bad(f"{error}\nMore is in {given.folder / 'logs'}.")
    except KeyboardInterrupt:
        tell.plain("Everything is stopped.")
        return 130 if given.once else 0
    return 1


def _prepare(folder: Path) -> None:
    """End what an earlier demo left behind, and begin with an empty folder."""
    clear(folder)
    if folder.exists() and any(folder.iterdir()):
        if not (folder / _MARK).exists():
            sys.exit(f"{folder} holds something else than a demo; name another folder.")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _MARK).touch()


def _run(folder: Path, tell: Teller, *, once: bool) -> int:
    # Most of what is imported here takes a second; a mistake above is told at once.
    from examples.demo.consortium import consortium  # noqa: PLC0415
    from examples.demo.run import FAULTS, run, stay  # noqa: PLC0415

    with consortium(folder) as world:
        try:
            unauthorised = run(world, tell, began=BEGAN)
        except FAULTS as error:
            world.federation.supervisor.check_all()  # if one ended, that is why
            tell.bad(f"{error}\nThe processes' logs are in {folder / 'logs'}.")
            return 1
        if not once:
            stay(world, tell)
    return 1 if unauthorised else 0


def _leave(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
