"""When a block is believed to stay. Each chain has its own rule.

A chain whose validators agree on a block before it is made (QBFT, and the embedded
chain) never takes one back: `immediate`. Others build on what they have and may
change their mind about the newest blocks; there one waits until so many blocks lie on
top (`depth:12`), or until the chain itself calls a block `safe` or `finalized`.

Too short a wait is no disaster: what was reported final and then vanished is seen,
alarmed about and anchored again. Too long a wait delays evidence, and nothing else.

Sources: Ethereum execution API, "Block Tag"; Besu, "Proof of authority consensus".
"""

import re
from dataclasses import dataclass
from typing import Final

from crypto.errors import Malformed

_DEPTH: Final = re.compile(r"depth:(0|[1-9][0-9]{0,5})")
TAGS: Final = ("safe", "finalized")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finality:
    """A rule. Exactly one of the two is set.

    Attributes:
        depth: Blocks that must lie on top of the one in question.
        tag: Name of the newest block that the chain itself calls so.
    """

    depth: int | None = None
    tag: str | None = None


IMMEDIATE: Final = Finality(depth=0)


def parse_finality(text: str) -> Finality:
    """Read `immediate`, `depth:N`, `safe` or `finalized`.

    Raises:
        Malformed: It is none of these.
    """
    if text == "immediate":
        return IMMEDIATE
    if text in TAGS:
        return Finality(tag=text)
    if (found := _DEPTH.fullmatch(text)) is None:
        raise Malformed("finality is immediate, depth:N, safe or finalized")
    return Finality(depth=int(found[1]))
