"""A request for fields of shared customers, and what a node knows when it comes.

What a decision is asked about it, `node.domain.question` says.

A request names fields to be shown, and conditions to be proved of fields that are
not shown. Customers are named by tokens: keyed pseudonyms that hold for one
agreement and one direction (`crypto.tokens`). No raw identifier travels.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from crypto.encoding import b64u, unb64u
from crypto.errors import Malformed
from ledger.conditions import Condition, check_conditions, parse_conditions
from ledger.receipts import request_hash
from node.domain.acknowledged import Acknowledged, parse_stream
from node.domain.agreement import Agreement, Status
from node.errors import BadRequest

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9:._%-]{0,127}")
_MOST_FIELDS, _MOST_CUSTOMERS = 64, 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a consumer asks.

    Attributes:
        dataset: From the address.
        fields: Names, sorted, each once. May be empty if `where` is not.
        customers: Tokens, 32 bytes each, each once, in the consumer's order.
        where: What shall be proved of fields that are not shown; in the order
            and form of `ledger.conditions`.
        last: Number and id of the newest receipt of this agreement that the
            consumer holds; None when it holds none.
        countersignatures: The consumer's signatures over receipts before, by their
            ids: 64 bytes each.
        hash: That the caller's token must be bound to, 64 hex digits.
    """

    dataset: str
    agreement: str
    purpose: str
    fields: tuple[str, ...]
    customers: tuple[bytes, ...]
    where: tuple[Condition, ...] = ()
    last: tuple[int, str] | None = None
    countersignatures: tuple[tuple[str, bytes], ...] = ()
    hash: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Compute the hash once: of ten thousand customers it takes 20 ms.

        Raises:
            BadRequest: Nothing is asked for; or one field is asked to be shown
                and to stay hidden.
        """
        try:
            check_conditions(self.where)
        except Malformed as error:
            _refuse(f"{error}.")
        if not self.fields and not self.where:
            _refuse("Ask for at least one field, or for one condition in `where`.")
        if both := sorted(set(self.fields) & set(self.hidden)):
            detail = f"{both[0]} is both in `fields` and in `where`"
            _refuse(f"{detail}. Ask for its value, or for a proof about it.")
        object.__setattr__(self, "hash", request_hash(self.dataset, self.body()))

    @property
    def hidden(self) -> tuple[str, ...]:
        """Return the fields that conditions are about, sorted, each once."""
        return tuple(sorted({name for each in self.where for name in each.fields}))

    def body(self) -> dict[str, Any]:
        """Return the JSON body."""
        return {
            "agreement": self.agreement,
            "purpose": self.purpose,
            "fields": list(self.fields),
            "customers": [b64u(token) for token in self.customers],
            "where": [condition.to_json() for condition in self.where],
            "stream": Acknowledged(
                last=self.last, countersignatures=self.countersignatures
            ).to_json(),
        }

    @classmethod
    def from_body(cls, dataset: str, body: Any) -> "Request":
        """Read a request.

        Raises:
            BadRequest: Naming the member and the mend.
        """
        wanted = {"agreement", "purpose", "fields", "customers", "where", "stream"}
        if not isinstance(body, dict) or set(body) != wanted:
            members = "agreement, purpose, fields, customers, where and stream"
            _refuse(f"Send exactly {members}.")
        for name in ("agreement", "purpose"):
            if not isinstance(body[name], str) or not _ID.fullmatch(body[name]):
                _refuse(f"`{name}` must be an identifier of at most 128 characters.")
        return cls(
            dataset=dataset,
            agreement=body["agreement"],
            purpose=body["purpose"],
            fields=_names(body["fields"]),
            customers=_tokens(body["customers"]),
            where=_conditions(body["where"]),
            **_stream(body["stream"]),
        )


def _names(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or len(value) > _MOST_FIELDS
        or not all(isinstance(v, str) and _NAME.fullmatch(v) for v in value)
        or sorted(set(value)) != value
    ):
        _refuse(f"`fields` must be up to {_MOST_FIELDS} names, sorted, each once.")
    return tuple(value)


def _tokens(value: Any) -> tuple[bytes, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= _MOST_CUSTOMERS:
        _refuse(f"`customers` must be 1 to {_MOST_CUSTOMERS} tokens.")
    try:
        tokens = tuple(unb64u(token, 32) for token in value)
    except (Malformed, TypeError):
        tokens = ()
    if len(tokens) != len(value) or len(set(tokens)) != len(tokens):
        _refuse("Each customer token is 32 bytes in base64url, named once.")
    return tokens


def _conditions(value: Any) -> tuple[Condition, ...]:
    try:
        return parse_conditions(value)
    except Malformed as error:
        _refuse(f"{error}.")


def _stream(value: Any) -> dict[str, Any]:
    """Read what the consumer says of the receipts before."""
    try:
        found = parse_stream(value)
    except Malformed as error:
        _refuse(f"{error}.")
    return {"last": found.last, "countersignatures": found.countersignatures}


def _refuse(detail: str) -> NoReturn:
    raise BadRequest("request.malformed", detail)


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who called, as far as its token shows.

    Attributes:
        did: The participant whose key signed the token, or None.
        problem: Denial code of what is wrong with the token, or "".
        nonce: The token's single-use nonce (`jti`), or None.
    """

    did: str | None
    problem: str
    nonce: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the node's store knew when the decision was asked for.

    Attributes:
        agreement: The agreement named in the request, or None.
        status: Its status, meaningful only with an agreement.
        calls_this_hour: Calls already answered under it in this clock hour.
        nonce_seen: Whether the caller has used this nonce before.
        probes: Of each field that conditions are about, the largest number of
            different conditions that would be counted of one of the customers
            asked about, with those of this call.
        unacknowledged: Receipts of this agreement without the caller's signature,
            after those that this call brings.
        known: Whether what the caller says to be its newest receipt is ours.
        signed: Whether what it signed verifies.
    """

    agreement: Agreement | None
    status: Status
    calls_this_hour: int
    nonce_seen: bool
    probes: Mapping[str, int] = field(default_factory=dict)
    unacknowledged: int = 0
    known: bool = True
    signed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """The company's own narrowing of what agreements allow; never a widening."""

    denied_fields: tuple[str, ...] = ()
    denied_partners: tuple[str, ...] = ()
    max_rows: int = 10_000
    max_unacknowledged: int = 100
    max_epsilon_micro: int = 20_000_000
