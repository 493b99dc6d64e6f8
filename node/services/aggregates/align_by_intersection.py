"""Align by intersection: declare to a provider the customers that it has, and no other.

A declaration tells a provider tokens, and it can test guesses against them: of all
customers that were declared, its own or not (`node.services.align`). Where the
agreement lets the asker find out *which* customers are shared, it can do that first,
and declare these alone. Then the provider gets no token of a customer that it lacks.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from ledger.plans import Party

Declare: TypeAlias = Callable[[str, Sequence[str]], Awaitable[int]]
"""Declares customers under an agreement; returns how many tokens were sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlignByIntersection:
    """Takes the customers of an intersection of mode `list`, and declares them.

    Attributes:
        declare: `node.services.align.Align.declare`.
    """

    declare: Declare

    async def __call__(
        self, party: Party, customers: Sequence[str]
    ) -> Mapping[str, Any]:
        """Declare shared customers to the party that shares them.

        Returns:
            How many were declared, and as how many tokens, padding included.

        Raises:
            Unavailable: The provider did not take them; customers can be declared
                once a day.
        """
        tokens = await self.declare(party.agreement, customers)
        return {"declared": len(customers), "tokens": tokens}
