"""The registry of participants without a chain: the contract's rules in Python.

It keeps every promise of `ledger.registry.Registry`, takes what the contract takes
and refuses what the contract refuses, in the same words: the tests of the contract
hold the two against each other, step by step. Two readers need it: tests that want a
registry and no chain, and whoever finds Python easier to read than Vyper.

Not for production: nothing here is durable, and nothing is safe to share between
threads.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ledger.errors import ChainUnavailable, Refused
from ledger.registry import Change, Held, History, KeyChange, MembershipChange

Motion = tuple[str, str | None]
"""A DID, and the account that is to speak for it."""


@dataclass(kw_only=True)
class MemoryRegistry:
    """The registry contract of a consortium.

    Attributes:
        clock: The time of the block that a change gets into, seconds since 1970.
        operator: Who alone decides about membership; None where members vote.
        majority: The share of members that a vote must exceed, in percent.
        answers: Whether the chain answers. Tests take it away.
        changes: What changed, by DID, oldest first.
        accounts: Who speaks for a DID, of the members alone.
        dids: For which DID an account speaks or spoke.
        keys: What an account has set, by account and suite.
        revoked: What a DID revoked, by DID and fingerprint.
        ballots: Who wants what, since the membership last changed.
        round: How often it changed.
    """

    clock: Callable[[], int]
    operator: str | None = None
    majority: int = 50
    chain_id: int = 1337
    contract: str = "0x" + "dd" * 20
    answers: bool = True
    changes: dict[str, list[Change]] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)
    dids: dict[str, str] = field(default_factory=dict)
    keys: dict[tuple[str, str], bytes] = field(default_factory=dict)
    revoked: set[tuple[str, bytes]] = field(default_factory=set)
    ballots: dict[Motion, set[str]] = field(default_factory=dict)
    round: int = 0

    def found(self, founders: Sequence[tuple[str, str]]) -> None:
        """Settle the rules and name the first members, as the contract is created."""
        if self.operator is None:
            _require(50 <= self.majority < 100, "majority is not 50 to 99")
            _require(bool(founders), "nobody could vote")
        else:
            _require(self.majority == 0, "an operator needs no majority")
        for did, account in founders:
            self._check(did, account)
            self._appoint(did, account)

    # -- writing: a refusal changes nothing ---------------------------------

    def vote(
        self, sender: str, *, did: str, account: str | None, in_favour: bool = True
    ) -> None:
        """Vote that an account speak for a DID, or take such a vote back.

        Raises:
            Refused: As the contract does.
        """
        _require(self._decides(sender), "sender has no vote")
        self._check(did, account)
        voters = self.ballots.get((did, account), set())
        _require((sender in voters) != in_favour, "vote changes nothing")
        self.ballots[did, account] = voters ^ {sender}
        if len(voters ^ {sender}) >= self.votes_needed:
            self._appoint(did, account)

    def set_key(self, sender: str, *, suite: str, fingerprint: bytes) -> None:
        """Set the sender's key of a suite.

        Raises:
            Refused: As the contract does.
        """
        did = self._member(sender)
        _require(bool(suite), "suite is empty")
        _require(any(fingerprint), "fingerprint is zero")
        held = self.keys.get((sender, suite))
        _require(fingerprint != held, "key holds already")
        _require((did, fingerprint) not in self.revoked, "key was revoked")
        self.keys[sender, suite] = fingerprint
        self._record(did, suite, fingerprint)

    def revoke_key(self, sender: str, *, suite: str, fingerprint: bytes) -> None:
        """Revoke the sender's key of a suite.

        Raises:
            Refused: As the contract does.
        """
        did = self._member(sender)
        _require(any(fingerprint), "fingerprint is zero")
        held = self.keys.get((sender, suite))
        _require(fingerprint == held, "key does not hold")
        del self.keys[sender, suite]
        self.revoked.add((did, fingerprint))
        self._record(did, suite, None)

    # -- reading ------------------------------------------------------------

    @property
    def votes_needed(self) -> int:
        """How many votes change the membership as it is now."""
        if self.operator is not None:
            return 1
        return len(self.accounts) * self.majority // 100 + 1

    def history(self, did: str) -> History:
        """Return all that changed for a participant. See `registry.Registry`."""
        if not self.answers:
            raise ChainUnavailable("the chain does not answer")
        return History(
            chain_id=self.chain_id,
            contract=self.contract,
            did=did,
            block=sum(map(len, self.changes.values())),
            seen=self.clock(),
            changes=tuple(self.changes.get(did, ())),
        )

    def keys_at(self, did: str, seconds: int) -> Held:
        """Return which keys held at a moment. See `registry.Registry`."""
        return self.history(did).at(seconds)

    def _decides(self, sender: str) -> bool:
        if self.operator is not None:
            return sender == self.operator
        return sender in self.accounts.values()

    def _member(self, sender: str) -> str:
        _require(sender in self.accounts.values(), "sender is no member")
        return self.dids[sender]

    def _check(self, did: str, account: str | None) -> None:
        _require(account != self.accounts.get(did), "membership is so already")
        _require(account not in self.dids, "account was admitted before")

    def _appoint(self, did: str, account: str | None) -> None:
        if account is None:
            del self.accounts[did]
        else:
            self.accounts[did] = account
            self.dids[account] = did
        self.ballots.clear()
        self.round += 1
        row = MembershipChange(at=self.clock(), account=account)
        self.changes.setdefault(did, []).append(row)

    def _record(self, did: str, suite: str, held: bytes | None) -> None:
        row = KeyChange(at=self.clock(), suite=suite, fingerprint=held)
        self.changes[did].append(row)


def _require(true: bool, otherwise: str) -> None:
    if not true:
        raise Refused(otherwise)
