"""Acts of a consortium's members: found it, vote, register and revoke keys.

Everything here is a transaction of one account to the registry contract
(`ledger/contracts/Participants.vy`), and each function returns when it is in a block.
Whether an account may do what it wants is the contract's to say: what it refuses is
`Refused`, with its reason.

Registering is done key by key. What is registered already is left alone, so that a
registration that was cut short is finished by doing it again.

Spec: `docs/protocols/registry.md`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from crypto.errors import Malformed
from crypto.keyids import Suite
from ledger.contracts import calls
from ledger.errors import ChainUnavailable, Refused
from ledger.registry import fingerprint
from ledger.rpc_registry import RpcRegistry

if TYPE_CHECKING:
    from ledger.sender import Sender

MOST_FOUNDERS: Final = 16
CREATE_GAS: Final = 1_500_000
FOUNDER_GAS: Final = 200_000
VOTE_GAS: Final = 400_000
KEY_GAS: Final = 250_000
"""Each well above what is used (`ledger/contracts/gas.json`); the rest is free."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Motion:
    """How a vote stands.

    Attributes:
        votes: How many want it, in this round.
        needed: How many decide.
        carried: Whether it is so: the account speaks for the DID, or nobody does.
    """

    votes: int
    needed: int
    carried: bool


def create(
    sender: "Sender",
    founders: Sequence[tuple[str, str]],
    *,
    operator: str | None = None,
    majority: int = 0,
) -> str:
    """Create the registry of a consortium, once; return its address in lower case.

    Args:
        sender: Anybody: the contract has no owner.
        founders: DID and account of each first member, 16 at most.
        operator: Who alone is to decide about membership; None where members vote.
        majority: The share of members that a vote must exceed, in percent, 50 to 99;
            0 with an operator.

    Raises:
        Malformed: More founders than the contract takes, or one is none.
        Refused: The contract refuses these rules.
        ChainUnavailable: No answer in time.
    """
    if len(founders) > MOST_FOUNDERS:
        raise Malformed(f"{MOST_FOUNDERS} founders at most; vote for the others")
    code = calls.create_participants(founders, operator=operator, majority=majority)
    gas = CREATE_GAS + FOUNDER_GAS * len(founders)
    made = sender.transact(code, to=None, gas=gas).created
    if made is None:
        raise ChainUnavailable("the chain names no address of the new contract")
    return made


def vote(
    sender: "Sender",
    registry: RpcRegistry,
    *,
    did: str,
    account: str | None,
    in_favour: bool = True,
) -> Motion:
    """Vote that an account speak for a DID, or nobody; return how the vote stands.

    Args:
        sender: A member, or the operator where there is one.
        did: The DID.
        account: The account; None expels whoever speaks for the DID.
        in_favour: False takes the sender's own vote back.

    Raises:
        Malformed: Not a DID, or not an address.
        Refused: The contract's reason: the sender has no vote, say.
        ChainUnavailable: No answer in time, or not our contract.
    """
    call = calls.vote(did=did, account=account, in_favour=in_favour)
    _ = registry.chain_id  # nothing is sent to another contract or on another chain
    sender.transact(call, to=registry.contract, gas=VOTE_GAS)
    return Motion(
        votes=registry.votes(did, account),
        needed=registry.votes_needed(),
        carried=registry.history(did).now.account == (account and account.lower()),
    )


def register(
    sender: "Sender", registry: RpcRegistry, *, did: str, keys: Mapping[Suite, bytes]
) -> tuple[str, ...]:
    """Register the sender's keys; return the suites whose key was another before.

    Args:
        sender: The account that speaks for the DID.
        did: The DID.
        keys: Public keys by suite.

    Raises:
        Refused: The account does not speak for the DID; or the contract's reason: a
            key was revoked, say. Keys before it in order are registered.
        ChainUnavailable: No answer in time, or not our contract.
    """
    held = registry.history(did).now
    if held.account != sender.account:
        speaks = f"{held.account} does" if held.account else "nobody does"
        raise Refused(f"{sender.account} does not speak for {did}; {speaks}")
    wanted = {suite: fingerprint(suite, public) for suite, public in keys.items()}
    new = [suite for suite, name in wanted.items() if held.keys.get(suite) != name]
    for suite in new:
        call = calls.set_key(suite=suite, fingerprint=wanted[suite])
        sender.transact(call, to=registry.contract, gas=KEY_GAS)
    return tuple(new)


def revoke(sender: "Sender", registry: RpcRegistry, *, suite: str, name: bytes) -> None:
    """Revoke the sender's key of a suite for good, from the next block on.

    Args:
        sender: The account that set it.
        suite: The suite's name.
        name: The key's fingerprint, 32 bytes.

    Raises:
        Refused: The contract's reason: the key does not hold, say.
        ChainUnavailable: No answer in time, or not our contract.
    """
    call = calls.revoke_key(suite=suite, fingerprint=name)
    _ = registry.chain_id
    sender.transact(call, to=registry.contract, gas=KEY_GAS)


def follow(
    sender: "Sender",
    registry: RpcRegistry,
    *,
    did: str,
    suite: Suite,
    was: bytes,
    now: bytes,
    revoked: bool,
) -> None:
    """Set the next key of a suite in the place of the present one.

    Args:
        was: The present public key.
        now: The next one.
        revoked: Whether the present one is revoked first: it can then never be set
            again, and no key of the suite holds for a block or two.

    Raises:
        Refused: As for `register`.
        ChainUnavailable: No answer in time, or not our contract.
    """
    old = fingerprint(suite, was)
    if revoked and registry.history(did).now.keys.get(suite) == old:
        revoke(sender, registry, suite=suite, name=old)
    register(sender, registry, did=did, keys={suite: now})
