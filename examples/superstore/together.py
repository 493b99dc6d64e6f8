"""Put results of joint sums together: what customers are worth, how long it takes.

    python -m examples.superstore.together worth one.json two.json
    python -m examples.superstore.together period one.json two.json

Each file holds a job as `fieldpact job show ID --json` prints it, of a joint sum. It is
arithmetic on figures that were told: it asks nobody, and costs no privacy.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from node.domain.joint import Figure, delivery_period, lifetime_value, written

_PUT: Final = {"worth": lifetime_value, "period": delivery_period}


def together(what: str, results: list[dict[str, Any]]) -> str:
    """Say what results of joint sums come to.

    Args:
        what: `worth` or `period`.
        results: Of one unit.

    Raises:
        ValueError: They are not of one unit and scale.
    """
    members = ("sum", "count", "asked", "spread")
    figures = [
        Figure(**{name: each[name] for name in members}, scale=each["scale"] or 0)
        for each in results
    ]
    if len(units := {each["unit"] for each in results}) != 1:
        raise ValueError("figures of different units")
    found = _PUT[what](figures)
    return f"{written(found.value, 2)} ± {written(found.spread, 2)} {units.pop()}"


if __name__ == "__main__":
    _, wanted, *files = sys.argv
    told = [json.loads(Path(file).read_text("utf-8"))["result"] for file in files]
    sys.stdout.write(f"{together(wanted, told)}\n")
