"""Asking: a chain at the other end of a connection, for a reader who wants one asked.

Kept apart, so that whoever checks a file offline does not even load what could open a
connection. An answer is remembered while one file is checked: a bundle names the same
anchor a thousand times.
"""

from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace

from ledger.errors import ChainUnavailable
from ledger.ports import ChainReader
from ledger.registry import Held, History, Registry
from ledger.rpc_reader import RpcChainReader
from ledger.rpc_registry import RpcRegistry
from ledger.trust import Trust


def ask_chain(
    stack: ExitStack, trust: Trust, rpc: str, contract: str, registry: str | None
) -> Trust:
    """Let a verification ask a chain, too.

    Args:
        stack: Closes the connections when it is left.
        trust: What else the reader brings along.
        rpc: The JSON-RPC of a node of the chain: one's own, or of a party other than
            the one that the file is about.
        contract: Address of the anchor contract.
        registry: Address of the registry contract; None to ask only for anchors.

    Raises:
        Malformed: An address is none.
    """
    reader = stack.enter_context(closing(RpcChainReader(rpc, contract)))
    asking = replace(trust, chain=Remembered(reader))
    if registry is None:
        return asking
    keys = stack.enter_context(closing(RpcRegistry(rpc, registry)))
    return replace(asking, registry=RememberedRegistry(keys))


@dataclass(frozen=True, slots=True)
class Remembered:
    """A `ChainReader` that asks for the same anchor once. For one verification."""

    reader: ChainReader
    _commitments: dict[tuple[str, int], bytes | None] = field(default_factory=dict)
    _times: dict[tuple[str, int], int | None] = field(default_factory=dict)
    _silent: list[ChainUnavailable] = field(default_factory=list)

    @property
    def chain_id(self) -> int:
        """Return the id of the chain. See `ports.ChainReader`."""
        self._heard()
        try:
            return self.reader.chain_id
        except ChainUnavailable as error:
            self._silent.append(error)
            raise

    @property
    def contract(self) -> str:
        """Return the contract's address."""
        return self.reader.contract

    def commitment(self, member: str, epoch: int) -> bytes | None:
        """Return what a member anchored for an epoch. See `ports.ChainReader`."""
        self._heard()
        if (member, epoch) not in self._commitments:
            self._commitments[member, epoch] = self.reader.commitment(member, epoch)
        return self._commitments[member, epoch]

    def anchored_at(self, member: str, epoch: int) -> int | None:
        """Return when a member anchored for an epoch. See `ports.ChainReader`."""
        self._heard()
        if (member, epoch) not in self._times:
            self._times[member, epoch] = self.reader.anchored_at(member, epoch)
        return self._times[member, epoch]

    def latest_epoch(self, member: str) -> int:
        """Return a member's newest epoch. See `ports.ChainReader`."""
        return self.reader.latest_epoch(member)

    def _heard(self) -> None:
        """Do not wait again for a chain that did not answer the first question."""
        if self._silent:
            raise self._silent[0]


@dataclass(frozen=True, slots=True)
class RememberedRegistry:
    """A `Registry` that is asked for a history once. For one verification."""

    registry: Registry
    _histories: dict[str, History] = field(default_factory=dict)

    def history(self, did: str) -> History:
        """Return all that changed for a participant. See `registry.Registry`."""
        if did not in self._histories:
            self._histories[did] = self.registry.history(did)
        return self._histories[did]

    def keys_at(self, did: str, seconds: int) -> Held:
        """Return which keys held at a moment. See `registry.Registry`."""
        return self.history(did).at(seconds)
