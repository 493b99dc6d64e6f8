"""The registry of participants against `ledger.memory_registry`. See `machines`."""

from collections.abc import Sequence
from typing import Any, Final

from eth_abi.abi import decode, encode
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from crypto.encoding import sha256
from ledger.contracts import HERE
from ledger.errors import Refused
from ledger.memory_registry import MemoryRegistry
from ledger.registry import KeyChange
from tests.unit.chain.machines import ACCOUNTS, WORDS, Machine
from tests.unit.chain.sandbox import (
    NOBODY,
    ORIGIN,
    RELAY,
    ZERO,
    Event,
    event,
    now,
    word,
)

DIDS: Final = ["did:web:anne.example", "did:web:bob.example", "did:web:" + "c" * 247]
OPERATOR: Final = b"\x0f" * 20
SUITES: Final = ["ed25519", "sm2"]
SOMEBODY: Final = st.tuples(
    st.sampled_from([True, True, False]), st.integers(0, len(ACCOUNTS))
)
"""Whether it should be a member, and which; or else which of all."""

CREATION: Final = ["(string,address)[]", "address", "uint256"]


def text(account: bytes) -> str:
    return "0x" + account.hex()


class ParticipantsMachine(Machine):
    """`Participants`: all that it keeps is what `MemoryRegistry` keeps."""

    source = (HERE / "Participants.vy").read_text("utf-8")

    def __init__(self) -> None:
        super().__init__()
        self.model = MemoryRegistry(clock=now)

    # -- creation -----------------------------------------------------------

    @initialize(
        founders=st.permutations(ACCOUNTS),
        count=st.integers(1, len(DIDS)),
        rules=st.sampled_from([50, 66, 99, OPERATOR, ORIGIN, RELAY]),
    )
    def create(self, founders: list[bytes], count: int, rules: int | bytes) -> None:
        named = list(zip(DIDS, founders, strict=False))[:count]
        if isinstance(rules, bytes):
            assert self.creates(named, rules, 0)
        else:
            assert self.creates(named, None, rules)

    @rule(
        founders=st.lists(
            st.tuples(st.sampled_from(DIDS), st.sampled_from(ACCOUNTS)), max_size=4
        ),
        crowd=st.sampled_from([0, 0, 16, 17]),
        operator=st.sampled_from([None, OPERATOR]),
        majority=st.sampled_from([0, 1, 49, 50, 98, 99, 100]),
    )
    def create_another(
        self,
        founders: list[tuple[str, bytes]],
        crowd: int,
        operator: bytes | None,
        majority: int,
    ) -> None:
        """Create one as it comes, look at it, and go on with the first."""
        kept = self.contract.address, self.model
        many = [(f"did:web:{n}.example", bytes([0x40 + n]) * 20) for n in range(crowd)]
        if self.creates(many or founders, operator, majority):
            self.compare()
        self.contract.address, self.model = kept

    def creates(
        self,
        founders: Sequence[tuple[str, bytes]],
        operator: bytes | None,
        majority: int,
    ) -> bool:
        """Create the contract and its model, and say whether both could be."""
        model = MemoryRegistry(
            clock=now,
            operator=text(operator) if operator else None,
            majority=majority,
        )
        expected: str | None = None
        try:
            model.found([(did, text(account)) for did, account in founders])
        except Refused as refused:
            expected = str(refused)
        if len(founders) > 16:
            expected = "failed without a reason"
        arguments = [founders, operator or NOBODY, majority]
        done = self.contract.create(CREATION, arguments)
        assert done.refusal == expected
        if expected is None:
            self.model = model
        return expected is None

    def one_of(self, who: tuple[bool, int]) -> bytes:
        """Return a member, where one is wanted and there is one, or anybody."""
        insider, number = who
        members = sorted(self.model.accounts.values())
        if insider and members:
            return bytes.fromhex(members[number % len(members)][2:])
        return [*ACCOUNTS, OPERATOR][number]

    # -- what anybody may try ------------------------------------------------

    @rule(
        who=SOMEBODY,
        did=st.sampled_from(DIDS),
        account=st.sampled_from([*ACCOUNTS, None]),
        in_favour=st.sampled_from([True, True, False]),
    )
    def anybody_votes(
        self, who: tuple[bool, int], did: str, account: bytes | None, in_favour: bool
    ) -> None:
        self.vote(self.one_of(who), did, account, in_favour=in_favour)

    def vote(
        self, sender: bytes, did: str, account: bytes | None, *, in_favour: bool
    ) -> None:
        whom = account or NOBODY
        name, before = sha256(did.encode()), self.model.accounts.get(did)
        round_ = self.model.round
        expected = None
        try:
            self.model.vote(
                text(sender),
                did=did,
                account=text(whom) if account else None,
                in_favour=in_favour,
            )
        except Refused as refused:
            expected = str(refused)
        events = [
            event(
                "Voted(address,bytes32,address,bool)", sender, name, whom,
                data=word(in_favour),
            )
        ]  # fmt: skip
        if self.model.round > round_ and before:
            old = bytes.fromhex(before[2:])
            events.append(event("Expelled(bytes32,address)", name, old))
        if self.model.round > round_ and account:
            said = encode(["string"], [did])
            named = event("Admitted(bytes32,address,string)", name, whom, data=said)
            events.append(named)
        call = ("vote(string,address,bool)", did, whom, in_favour)
        self.did(sender, expected, events, *call)
        if self.model.round == round_:
            self.ballots(round_, did, account)

    @rule(
        voters=st.permutations([OPERATOR, *ACCOUNTS]),
        did=st.sampled_from(DIDS),
        account=st.sampled_from([*ACCOUNTS, None]),
        wavering=st.booleans(),
    )
    def decide(
        self, voters: list[bytes], did: str, account: bytes | None, wavering: bool
    ) -> None:
        """Everybody votes, until it is decided; perhaps with second thoughts."""
        round_ = self.model.round
        for voter in voters:
            for in_favour in (True, False, True) if wavering else (True,):
                if self.model.round == round_:
                    self.vote(voter, did, account, in_favour=in_favour)

    @rule(
        who=SOMEBODY,
        suite=st.sampled_from([*SUITES, *SUITES, ""]),
        fingerprint=st.sampled_from([*WORDS, ZERO]),
        end=st.booleans(),
    )
    def anybody_changes_a_key(
        self, who: tuple[bool, int], suite: str, fingerprint: bytes, end: bool
    ) -> None:
        self.change_a_key(self.one_of(who), suite, fingerprint, end=end)

    def change_a_key(
        self, sender: bytes, suite: str, fingerprint: bytes, *, end: bool
    ) -> None:
        who = text(sender)
        change = self.model.revoke_key if end else self.model.set_key
        expected = None
        try:
            change(who, suite=suite, fingerprint=fingerprint)
        except Refused as refused:
            expected = str(refused)
        did = sha256(self.model.dids.get(who, "").encode())
        name = suite.encode().ljust(32, b"\0")
        event_ = "KeyRevoked" if end else "KeySet"
        events = [event(f"{event_}(bytes32,bytes32,bytes32)", did, name, fingerprint)]
        call = "revoke_key" if end else "set_key"
        self.did(
            sender, expected, events, f"{call}(bytes32,bytes32)", name, fingerprint
        )

    @rule(who=SOMEBODY)
    def end_the_key_that_holds(self, who: tuple[bool, int]) -> None:
        sender = self.one_of(who)
        for suite in SUITES:
            held = self.model.keys.get((text(sender), suite), ZERO)
            self.change_a_key(sender, suite, held, end=True)

    @rule(who=SOMEBODY, times=st.sampled_from([2, 2, 2, 33]))
    def change_back_and_forth(self, who: tuple[bool, int], times: int) -> None:
        sender = self.one_of(who)
        for n in range(times if text(sender) in self.model.accounts.values() else 1):
            self.change_a_key(sender, SUITES[0], WORDS[n % 2], end=False)

    def did(
        self, sender: bytes, expected: str | None, events: list[Event], *call: Any
    ) -> None:
        """Do in the contract what the model did, or would not do."""
        done = self.contract.call(sender, *call)
        assert done.refusal == expected
        assert done.events == ([] if expected else events)

    # -- what must be so -----------------------------------------------------

    @invariant()
    def the_membership_is_the_same(self) -> None:
        if not self.contract.address:
            return
        model, number = self.model, self.contract.number
        assert number("members()") == len(model.accounts)
        assert number("round()") == model.round
        assert number("votes_needed()") == model.votes_needed

    def ballots(self, round_: int, did: str, account: bytes | None) -> None:
        name, whom = sha256(did.encode()), account or NOBODY
        motion = (did, text(whom) if account else None)
        voters = self.model.ballots.get(motion, set())
        at = ("tally(uint256,bytes32,address)", round_, name, whom)
        assert self.contract.number(*at) == len(voters)
        for voter in ACCOUNTS:
            ballot = "ballot(uint256,bytes32,address,address)"
            held = self.contract.number(ballot, round_, name, whom, voter)
            assert held == (text(voter) in voters)

    def compare(self) -> None:
        model, contract = self.model, self.contract
        operator = contract.view("OPERATOR()")[12:]
        assert operator == bytes.fromhex((model.operator or text(NOBODY))[2:])
        assert contract.number("MAJORITY()") == model.majority
        for did in DIDS:
            name = sha256(did.encode())
            speaks = model.accounts.get(did, text(NOBODY))
            assert contract.view("account_of(bytes32)", name)[12:].hex() == speaks[2:]
            for fingerprint in WORDS:
                said = contract.number("revoked(bytes32,bytes32)", name, fingerprint)
                assert said == ((did, fingerprint) in model.revoked)
            self.history(did, name)
        for account in (*ACCOUNTS, NOBODY):
            did = model.dids.get(text(account), "")
            name = sha256(did.encode()) if did else ZERO
            assert contract.view("did_of(address)", account) == name
            for suite in SUITES:
                of = (
                    "key_of(address,bytes32)",
                    account,
                    suite.encode().ljust(32, b"\0"),
                )
                held = model.keys.get((text(account), suite), ZERO)
                assert contract.view(*of) == held

    def history(self, did: str, name: bytes) -> None:
        rows = [_row(change) for change in self.model.changes.get(did, [])]
        assert self.contract.number("length_of(bytes32)", name) == len(rows)
        for start in {0, 1, max(0, len(rows) - 1), len(rows), len(rows) + 1}:
            said = self.contract.view("history(bytes32,uint256)", name, start)
            (told,) = decode(["(uint256,bytes32,bytes32)[]"], said)
            assert list(told) == rows[start : start + 32]


def _row(change: Any) -> tuple[int, bytes, bytes]:
    if isinstance(change, KeyChange):
        suite = change.suite.encode().ljust(32, b"\0")
        return change.at, suite, change.fingerprint or ZERO
    return (
        change.at,
        ZERO,
        word(bytes.fromhex(change.account[2:]) if change.account else b""),
    )
