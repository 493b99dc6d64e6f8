"""A registry of participants on an embedded chain, and the companies in it."""

from typing import Final

from eth_typing import Address

from ledger.contracts import calls
from ledger.evm.chain import EmbeddedChain, Mined, Reverted
from ledger.evm.transactions import TRANSACTION_GAS, Message
from ledger.evm.wire import receipt
from tests.support.chain import Member

ANNE, BOB, CAROL, DAVE = (
    f"did:web:{name}.example" for name in ("anne", "bob", "carol", "dave")
)
NUMBERS: Final = {ANNE: 11, BOB: 12, CAROL: 13, DAVE: 14}


def text(member: Member) -> str:
    """Return a member's address as text."""
    return "0x" + member.address.hex()


class Consortium:
    """The registry contract, called without any client.

    Args:
        chain: Where it is created, by member 1.
        founders: DIDs of the first members; their accounts are those of `members`.
        operator: Who alone decides, if anybody does.
        majority: In percent, where members vote.
    """

    def __init__(
        self,
        chain: EmbeddedChain,
        *founders: str,
        operator: Member | None = None,
        majority: int = 50,
    ) -> None:
        self.chain = chain
        self.members = {did: Member(number) for did, number in NUMBERS.items()}
        code = calls.create_participants(
            [(did, text(self.members[did])) for did in founders],
            operator=text(operator) if operator else None,
            majority=0 if operator else majority,
        )
        creator = Member(1)
        creator.nonce = chain.state().get_nonce(Address(creator.address))
        self.deployed = self._mine(creator.sign(code, gas=TRANSACTION_GAS))
        made = receipt(self.deployed, [])["contractAddress"]
        self.contract = str(made)
        self._address = Address(bytes.fromhex(made[2:]))

    def send(self, sender: Member, data: bytes) -> Mined:
        """Send call data that the contract is to take."""
        mined = self._mine(sender.sign(data, self._address))
        assert mined.receipt.state_root, self.refusal(sender, data)
        return mined

    def refusal(self, sender: Member, data: bytes) -> str:
        """Return the contract's reason for refusing a call, which is tried only."""
        address = Address(sender.address)
        call = Message(address, self._address, data, TRANSACTION_GAS)
        try:
            self.chain.call(call, self.chain.header())
        except Reverted as refused:
            return str(refused).removeprefix("execution reverted: ")
        return ""

    def admit(self, did: str, account: Member | None, *voters: str) -> list[Mined]:
        """Let founders vote that an account speak for a DID, one after another."""
        data = calls.vote(did=did, account=text(account) if account else None)
        return [self.send(self.members[voter], data) for voter in voters]

    def set_key(self, did: str, suite: str, fingerprint: bytes) -> int:
        """Set a participant's key; return the time of the block."""
        data = calls.set_key(suite=suite, fingerprint=fingerprint)
        return self.send(self.members[did], data).header.timestamp

    def revoke_key(self, did: str, suite: str, fingerprint: bytes) -> int:
        """Revoke a participant's key; return the time of the block."""
        data = calls.revoke_key(suite=suite, fingerprint=fingerprint)
        return self.send(self.members[did], data).header.timestamp

    def _mine(self, raw: bytes) -> Mined:
        mined = self.chain.mined(self.chain.send(raw))
        assert mined is not None
        return mined
