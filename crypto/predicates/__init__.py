"""Predicates: "at least 500,000" proved of a number that nobody is shown.

Three parties' words, kept apart: what is asked (`asking`, `statement`) belongs to
the verifier; `prove` makes a presentation of a sealed record (`crypto.anchored`);
`verify` checks it against the verifier's own statement. `batch` checks many.

Read in this order: `weights`, `kinds`, `statement`, `asking`, `bits`, `prove`,
`verify`, `batch`.

The protocol is ours and has had no outside review. What it shows, under which
assumptions, and what it does not: `docs/protocols/fp-lbv-1.md`.
"""

from crypto.predicates.asking import (
    after,
    at_least,
    at_most,
    before,
    between,
    equal,
    no_more_than,
    one_of,
    sum_at_least,
)
from crypto.predicates.batch import verify_batch
from crypto.predicates.kinds import Member, Predicate, Window
from crypto.predicates.prove import Presentation, holds, prove
from crypto.predicates.statement import Statement, parse_statement
from crypto.predicates.verify import Claim, verify

__all__ = [
    "Claim",
    "Member",
    "Predicate",
    "Presentation",
    "Statement",
    "Window",
    "after",
    "at_least",
    "at_most",
    "before",
    "between",
    "equal",
    "holds",
    "no_more_than",
    "one_of",
    "parse_statement",
    "prove",
    "sum_at_least",
    "verify",
    "verify_batch",
]
