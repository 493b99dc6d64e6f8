"""A chain in memory: blocks, waiting transactions, reorganisations, lost replies.

It keeps every promise of `ledger.ports.Anchors`, and the contract's three rules, and
forgets everything when it goes. Tests turn its switches: they take its answers away,
keep it from making blocks, let it forget blocks it has made, or lose what it says
after it did what it was asked.

Not for production: nothing here is durable, and nothing is safe to share between
threads.
"""

from dataclasses import dataclass, field, replace
from typing import Any, Final

from crypto.encoding import canonical, parse_canonical, sha256
from ledger.errors import ChainUnavailable, Inconsistent, Refused
from ledger.finality import IMMEDIATE, Finality
from ledger.ports import Anchored, Mined, Signed

ZERO: Final = bytes(32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sent:
    """A transaction, as its bytes say."""

    transaction: str
    member: str
    nonce: int
    epoch: int
    commitment: bytes
    previous: bytes
    fee: int


@dataclass
class _Blocks:
    """What all accounts share: blocks, what they led to, and what waits."""

    made: list[tuple[str, list[_Sent]]] = field(default_factory=list)
    waiting: dict[tuple[str, int], _Sent] = field(default_factory=dict)
    held: dict[tuple[str, int], Anchored] = field(default_factory=dict)
    found: dict[str, Mined] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    forks: int = 0

    def add(self, sent: list[_Sent], block_hash: str | None = None) -> None:
        """Carry transactions out in one more block."""
        number = len(self.made) + 1
        if block_hash is None:
            said = [number, self.forks, [each.transaction for each in sent]]
            block_hash = _hash(canonical(said))
        self.made.append((block_hash, sent))
        for each in sent:
            ok = self._carry_out(each, number, block_hash)
            self.nonces[each.member] = each.nonce + 1
            self.found[each.transaction] = Mined(
                block=number, block_hash=block_hash, ok=ok
            )

    def _carry_out(self, sent: _Sent, block: int, block_hash: str) -> bool:
        before = self.held.get((sent.member, sent.epoch - 1))
        if (
            (sent.member, sent.epoch) in self.held
            or (before is None) != (sent.epoch == 1)
            or sent.previous != (before.commitment if before else ZERO)
            or sent.commitment == ZERO
        ):
            return False
        self.held[sent.member, sent.epoch] = Anchored(
            epoch=sent.epoch,
            commitment=sent.commitment,
            transaction=sent.transaction,
            block=block,
            block_hash=block_hash,
        )
        return True

    def forget(self, blocks: int) -> list[_Sent]:
        """Undo the newest blocks; return what was in them."""
        first = len(self.made) - blocks
        kept, gone = self.made[:first], self.made[first:]
        self.made, self.held, self.found, self.nonces = [], {}, {}, {}
        for block_hash, sent in kept:
            self.add(sent, block_hash)
        self.forks += 1
        return [each for _, sent in gone for each in sent]


@dataclass(kw_only=True)
class MemoryChain:
    """The anchor contract of a consortium, and one member's account on it.

    Attributes:
        member: The account that anchors; see `as_member`.
        answers: Whether the chain answers.
        started: When it had no block yet, seconds since 1970; a block takes one.
        mines: Whether a transaction gets a block as soon as it comes.
        loses: Whether the answer to `send` gets lost, after it was done.
        fee: What a transaction must offer to get into a block.
        finality: The chain's rule; a tag's block is `tagged`.
    """

    member: str
    chain_id: int = 1337
    contract: str = "0x" + "cc" * 20
    answers: bool = True
    started: int = 1_800_000_000
    mines: bool = True
    loses: bool = False
    fee: int = 0
    finality: Finality = IMMEDIATE
    tagged: int = 0
    blocks: _Blocks = field(default_factory=_Blocks)

    # -- the member's side, as in `ports.Anchors` ---------------------------------

    def as_member(self, member: str) -> "MemoryChain":
        """Return the same contract, used from another account."""
        return replace(self, member=member)

    def commitment(self, member: str, epoch: int) -> bytes | None:
        """Return what a member anchored for an epoch. See `ports.ChainReader`."""
        held = self._asked().held.get((member.lower(), epoch))
        return held.commitment if held else None

    def anchored_at(self, member: str, epoch: int) -> int | None:
        """Return when a member anchored for an epoch. See `ports.ChainReader`."""
        held = self._asked().held.get((member.lower(), epoch))
        return self.started + held.block if held else None

    def latest_epoch(self, member: str) -> int:
        """Return a member's newest epoch. See `ports.ChainReader`."""
        epochs = (epoch for who, epoch in self._asked().held if who == member.lower())
        return max(epochs, default=0)

    def nonce(self) -> int:
        """Count this member's transactions in blocks. See `ports.Anchors`."""
        return self._asked().nonces.get(self.member, 0)

    def sign(
        self,
        *,
        epoch: int,
        commitment: bytes,
        previous: bytes,
        nonce: int,
        instead_of: bytes | None = None,
    ) -> Signed:
        """Make a transaction. See `ports.Anchors`; its bytes are JSON."""
        self._asked()
        offered = _read(instead_of).fee if instead_of else 0
        raw = canonical(
            {
                "member": self.member,
                "nonce": nonce,
                "epoch": epoch,
                "commitment": commitment.hex(),
                "previous": previous.hex(),
                "fee": max(self.fee, -(-offered * 5 // 4)),
            }
        )
        return Signed(raw=raw, transaction=_hash(raw), nonce=nonce)

    def send(self, signed: Signed) -> None:
        """Take a transaction in. See `ports.Anchors`."""
        blocks, sent = self._asked(), _read(signed.raw)
        place = (sent.member, sent.nonce)
        known = blocks.waiting.get(place)
        if sent.transaction not in blocks.found and known != sent:
            if sent.nonce < blocks.nonces.get(sent.member, 0):
                raise Refused("nonce too low")
            if known is not None and sent.fee <= known.fee:
                raise Refused("replacement transaction underpriced")
            blocks.waiting[place] = sent
        if self.mines and self._ready():
            self.mine()
        if self.loses:
            raise ChainUnavailable("the answer got lost")

    def look(self, transaction: str) -> Mined | None:
        """Return where a transaction is. See `ports.Anchors`."""
        return self._asked().found.get(transaction)

    def find(self, epoch: int) -> Anchored | None:
        """Return this member's anchor of an epoch. See `ports.Anchors`."""
        return self._asked().held.get((self.member, epoch))

    def is_final(self, mined: Mined) -> bool:
        """Tell whether a block stays. See `ports.Anchors`."""
        made = self._asked().made
        last = self.tagged
        if self.finality.tag is None:
            last = len(made) - (self.finality.depth or 0)
        if mined.block > last:
            return False
        return made[mined.block - 1][0] == mined.block_hash

    def anchor(self, *, epoch: int, commitment: bytes) -> Anchored:
        """Sign, send and find at once, for whoever needs an anchor and no outbox.

        Raises:
            Inconsistent: The chain holds something else for this epoch, or the
                epoch is not the next one.
        """
        if self.find(epoch) is None:
            if epoch != self.latest_epoch(self.member) + 1:
                raise Inconsistent("the epoch is not the next one")
            before = self.commitment(self.member, epoch - 1) or ZERO
            self.send(
                self.sign(
                    epoch=epoch,
                    commitment=commitment,
                    previous=before,
                    nonce=self.nonce(),
                )
            )
        if (held := self.find(epoch)) is None or held.commitment != commitment:
            raise Inconsistent("the chain holds something else for this epoch")
        return held

    # -- the chain's side, for tests ----------------------------------------------

    def mine(self, blocks: int = 1) -> None:
        """Make blocks; the first takes what waits and offers enough, in order."""
        for _ in range(blocks):
            self.blocks.add(self._take())

    def reorganise(self, blocks: int, *, keep: bool = True) -> None:
        """Forget the newest blocks, and make one more, empty, in their place.

        Args:
            blocks: How many.
            keep: Whether what was in them waits again, or is forgotten too.
        """
        gone = self.blocks.forget(blocks)
        for _ in range(blocks + 1):
            self.blocks.add([])
        if keep:
            for each in gone:
                self.blocks.waiting.setdefault((each.member, each.nonce), each)

    def drop(self) -> None:
        """Forget what waits, as a node does that is started anew."""
        self.blocks.waiting.clear()

    def _ready(self) -> list[_Sent]:
        """Return what could go into a block now."""
        ready, nonces = [], dict(self.blocks.nonces)
        for (member, nonce), sent in sorted(
            self.blocks.waiting.items(), key=lambda item: item[0]
        ):
            if nonces.get(member, 0) == nonce and sent.fee >= self.fee:
                ready.append(sent)
                nonces[member] = nonce + 1
        return ready

    def _take(self) -> list[_Sent]:
        ready = self._ready()
        for each in ready:
            del self.blocks.waiting[each.member, each.nonce]
        return ready

    def _asked(self) -> _Blocks:
        if not self.answers:
            raise ChainUnavailable("the chain does not answer")
        return self.blocks


def _hash(raw: bytes) -> str:
    return "0x" + sha256(raw).hex()


def _read(raw: bytes) -> _Sent:
    said: Any = parse_canonical(raw)
    return _Sent(
        transaction=_hash(raw),
        member=said["member"],
        nonce=said["nonce"],
        epoch=said["epoch"],
        commitment=bytes.fromhex(said["commitment"]),
        previous=bytes.fromhex(said["previous"]),
        fee=said["fee"],
    )
