"""What asks the embedded chain for something: transactions, and calls tried only.

A transaction is taken in one form, EIP-1559 (type 2), and only when it is signed
for this chain and asks for no more gas than half of a block holds. Whether its
sender may send it now is the chain's to say.

Sources: EIP-155, EIP-1559, EIP-2718.
"""

from typing import Final, NamedTuple, cast

from eth.abc import SignedTransactionAPI, StateAPI
from eth.vm.forks.paris import ParisVM
from eth.vm.spoof import SpoofTransaction
from eth_keys.exceptions import BadSignature
from eth_typing import Address
from eth_utils.exceptions import ValidationError
from rlp.exceptions import RLPException  # type: ignore[import-untyped]

CHAIN_ID: Final = 0xF1E1D
BLOCK_GAS: Final = 10_000_000
TRANSACTION_GAS: Final = BLOCK_GAS // 2
"""More would take a block above its gas target, and the base fee above zero."""


class Rejected(Exception):
    """A transaction or a call that the chain will not carry out, and why."""


class Message(NamedTuple):
    """A call that is tried and not recorded.

    Attributes:
        sender: Who it is to come from; nobody checks.
        to: The contract, or empty to create one.
        data: Selector and arguments, or creation code.
        gas: Most that it may use.
    """

    sender: Address
    to: Address
    data: bytes
    gas: int


def decode(raw: bytes) -> SignedTransactionAPI:
    """Read a signed transaction.

    Raises:
        Rejected: It is none of ours, whatever its sender's nonce and balance are.
    """
    if raw[:1] != b"\x02":
        raise Rejected("only EIP-1559 transactions (type 2) are taken")
    try:
        transaction = ParisVM.get_transaction_builder().decode(raw)
        transaction.validate()
        _ = transaction.sender
    except (ValidationError, RLPException, BadSignature, TypeError) as error:
        raise Rejected(f"not a signed transaction: {error}") from error
    # The parser takes an empty list for zero. A copy is encoded anew.
    if transaction.copy().encode() != raw:
        raise Rejected("not a signed transaction: not in canonical form")
    if transaction.chain_id != CHAIN_ID:
        raise Rejected(f"signed for chain {transaction.chain_id}, not {CHAIN_ID}")
    if not (least := transaction.intrinsic_gas) <= transaction.gas <= TRANSACTION_GAS:
        raise Rejected(f"gas limit not between {least} and {TRANSACTION_GAS}")
    return transaction


def unsigned(message: Message, state: StateAPI) -> SignedTransactionAPI:
    """Make the transaction that a call would be, had its sender signed it."""
    transaction = ParisVM.create_unsigned_transaction(
        nonce=state.get_nonce(message.sender),
        gas_price=0,
        gas=message.gas,
        to=message.to,
        value=0,
        data=message.data,
    )
    spoof = SpoofTransaction(transaction, from_=message.sender)
    return cast("SignedTransactionAPI", spoof)
