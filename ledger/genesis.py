"""The first block of a consortium's chain: a genesis file for Besu with QBFT.

Validators take turns to propose blocks; a block needs the signatures of two thirds of
them at least, and is final then. Who they are at first stands in the first block's
`extraData`, as

    RLP([vanity, validators, vote, round, seals])

with 32 zeros, the validators' addresses, no vote, round 0 and no seals. An address is
that of the key with which a Besu node signs blocks, not the account of a company.

Gas is free: the base fee is zero for good (`zeroBaseFee`), and no account owns
anything. Every milestone up to London is active from the first block and no later
one, because the contracts need none (`docs/operations.md`).

Sources: Besu's documentation, "QBFT" and "Genesis file items"; its `extraData` of four
validators is what this encoding makes, byte for byte.
"""

from collections.abc import Sequence
from typing import Any, Final

import rlp  # type: ignore[import-untyped]

from crypto.errors import Malformed
from ledger.contracts.calls import account_word

LEAST_VALIDATORS: Final = 4
"""With fewer, one that is gone stops the chain."""
GAS_LIMIT: Final = 30_000_000
EPOCH_BLOCKS: Final = 30_000
"""So often QBFT forgets votes about validators that did not carry."""
_BFT_MIX: Final = b"ctical byzantine fault tolerance"
_MILESTONES: Final = (
    "homesteadBlock",
    "eip150Block",
    "eip155Block",
    "eip158Block",
    "byzantiumBlock",
    "constantinopleBlock",
    "petersburgBlock",
    "istanbulBlock",
    "muirGlacierBlock",
    "berlinBlock",
    "londonBlock",
)


def extra_data(validators: Sequence[str]) -> bytes:
    """Return what the first block says of its validators.

    Args:
        validators: Addresses, in the order in which they are to be written.

    Raises:
        Malformed: One is no address, or is there twice.
    """
    words = [account_word(validator)[12:] for validator in validators]
    if len(set(words)) != len(words):
        raise Malformed("a validator is named twice")
    encoded: bytes = rlp.encode([bytes(32), words, [], 0, []])
    return encoded


def genesis(
    validators: Sequence[str],
    *,
    chain_id: int,
    block_period_s: int = 2,
) -> dict[str, Any]:
    """Return a genesis file. Every Besu node of the chain needs the very same.

    Args:
        validators: Addresses of the validators' keys, four at least.
        chain_id: EIP-155; of this chain alone.
        block_period_s: Time between two blocks, in seconds.

    Raises:
        Malformed: Fewer than four validators, one is no address or there twice, or
            a number is below 1.
    """
    if len(validators) < LEAST_VALIDATORS:
        raise Malformed(f"name {LEAST_VALIDATORS} validators at least")
    if min(chain_id, block_period_s) < 1:
        raise Malformed("chain id and block period are 1 at least")
    qbft = {
        "blockperiodseconds": block_period_s,
        "epochlength": EPOCH_BLOCKS,
        "requesttimeoutseconds": 2 * block_period_s,
    }
    config: dict[str, Any] = {"chainId": chain_id}
    config |= dict.fromkeys(_MILESTONES, 0) | {"zeroBaseFee": True, "qbft": qbft}
    return {
        "config": config,
        "nonce": "0x0",
        "timestamp": "0x0",
        "gasLimit": hex(GAS_LIMIT),
        "difficulty": "0x1",
        "mixHash": "0x" + _BFT_MIX.hex(),
        "coinbase": "0x" + "00" * 20,
        "alloc": {},
        "extraData": "0x" + extra_data(validators).hex(),
    }
