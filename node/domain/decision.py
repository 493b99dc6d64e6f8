"""What the policy answered.

A *decision* is a value, not an exception: also a "no" becomes a receipt before
anybody hears of it. A call is answered whole or not at all, so a decision either
allows every requested field and predicate, or all that a plan makes figures from, or
it releases nothing and names at least one *denial code* (`denials`).
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from node.domain.denials import DENIALS


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The answer to one call. Its constructor refuses a contradiction.

    Attributes:
        allow: Whether the call may be answered.
        fields: Fields to disclose, sorted; empty unless allowed.
        predicate_fields: Fields to prove the requested predicates of without
            disclosing them, sorted; empty unless allowed.
        aggregate_fields: Fields to compute the plan's figures from, neither shown
            nor proved, sorted; empty unless allowed, and where a plan counts
            without naming any.
        denials: Codes of `DENIALS`, sorted; empty exactly when allowed.
        denied_fields: Requested fields that caused a denial, sorted.
        obligations: Duties of the consumer, sorted; empty unless allowed.
        revision: Hash of the policies that decided, hex SHA-256.
        input_hash: Hash of the question, hex SHA-256; zeros if it has none.
        engine: Name and version of what evaluated the policies.
    """

    allow: bool
    fields: tuple[str, ...]
    predicate_fields: tuple[str, ...]
    denials: tuple[str, ...]
    denied_fields: tuple[str, ...]
    obligations: tuple[str, ...]
    revision: str
    input_hash: str
    engine: str
    aggregate_fields: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        ways = (self.fields, self.predicate_fields, self.aggregate_fields)
        released = {name for names in ways for name in names}
        explained = bool(self.denials or self.denied_fields)
        if (self.allow and explained) or not (self.allow or self.denials):
            message = "a decision allows, or says why not"
            raise ValueError(message)
        if (released or self.obligations) and not self.allow:
            message = "fields are released under allow, and only there"
            raise ValueError(message)
        if sum(len(set(names)) for names in ways) != len(released):
            message = "each field is released in one way"
            raise ValueError(message)
        if self.aggregate_fields and (self.fields or self.predicate_fields):
            message = "a decision gives figures, or else fields and proofs"
            raise ValueError(message)
        if not DENIALS.keys() >= set(self.denials):
            message = f"unknown denial codes among {self.denials}"
            raise ValueError(message)

    def refused(self, code: str, *, denied_fields: Iterable[str] = ()) -> "Decision":
        """Return this decision narrowed to a refusal, for a check made later.

        Args:
            code: Added to the denials there are.
            denied_fields: Added to the fields that caused one.
        """
        return replace(
            self,
            allow=False,
            fields=(),
            predicate_fields=(),
            aggregate_fields=(),
            obligations=(),
            denials=tuple(sorted({*self.denials, code})),
            denied_fields=tuple(sorted({*self.denied_fields, *denied_fields})),
        )
