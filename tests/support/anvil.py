"""`python -m tests.support.anvil FOLDER`: install a real Ethereum node, once.

Anvil comes from npm, in the version and with the hashes of `.ci/anvil`; no install
script runs. The path of the program is printed, for FIELDPACT_TEST_ANVIL.
"""

import shutil
import sys
from pathlib import Path

from dashboard.build import BuildError, find_tools, install

LOCK = Path(__file__).parents[2] / ".ci" / "anvil"


def program(folder: Path) -> Path:
    """Install the locked version into a folder; return the program.

    Raises:
        BuildError: No npm here, it refused, or this machine is of another kind.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCK / name, folder / name)
    install(find_tools(), folder)
    places = sorted(folder.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"))
    if not places:
        raise BuildError("anvil is made for other machines than this")
    return places[0]


if __name__ == "__main__":
    try:
        sys.stdout.write(f"{program(Path(sys.argv[1]))}\n")
    except BuildError as error:
        sys.exit(f"anvil: {error}")
