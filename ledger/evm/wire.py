"""Blocks, transactions, receipts and events in the words of JSON-RPC.

Numbers are written as *quantities* (`0x` and hex digits without leading zeros),
bytes as *data* (`0x` and two digits a byte). Every block of this chain holds one
transaction, whose index is therefore 0.

Source: Ethereum execution API, the schemas of the `eth_*` methods.
"""

from typing import Any, Final

import rlp  # type: ignore[import-untyped]
from eth.abc import BlockAPI, BlockHeaderAPI, SignedTransactionAPI
from eth_utils.crypto import keccak

from ledger.evm.chain import Mined
from ledger.evm.store import Log

Json = dict[str, Any]

_INDEX: Final = "0x0"


def data(value: bytes) -> str:
    """Write bytes."""
    return "0x" + value.hex()


def block(found: BlockAPI, *, full: bool) -> Json:
    """Write a block, with whole transactions or with their hashes alone."""
    header = found.header
    return {
        "number": hex(header.block_number),
        "hash": data(header.hash),
        "parentHash": data(header.parent_hash),
        "sha3Uncles": data(header.uncles_hash),
        "miner": data(header.coinbase),
        "stateRoot": data(header.state_root),
        "transactionsRoot": data(header.transaction_root),
        "receiptsRoot": data(header.receipt_root),
        "logsBloom": _bloom(header.bloom),
        "difficulty": hex(header.difficulty),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "extraData": data(header.extra_data),
        "mixHash": data(header.mix_hash),
        "nonce": data(header.nonce),
        "baseFeePerGas": hex(header.base_fee_per_gas or 0),
        "size": hex(len(rlp.encode(found))),
        "uncles": [],
        "transactions": [
            transaction(sent, header) if full else data(sent.hash)
            for sent in found.transactions
        ],
    }


def transaction(sent: SignedTransactionAPI, header: BlockHeaderAPI) -> Json:
    """Write a transaction and the place where it is."""
    return {
        "hash": data(sent.hash),
        "type": "0x2",
        "chainId": hex(sent.chain_id or 0),
        "nonce": hex(sent.nonce),
        "from": data(sent.sender),
        "to": data(sent.to) if sent.to else None,
        "value": hex(sent.value),
        "gas": hex(sent.gas),
        "gasPrice": hex(min(sent.max_fee_per_gas, sent.max_priority_fee_per_gas)),
        "maxFeePerGas": hex(sent.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(sent.max_priority_fee_per_gas),
        "input": data(sent.data),
        "accessList": [
            {
                "address": data(address),
                "storageKeys": [data(slot.to_bytes(32, "big")) for slot in slots],
            }
            for address, slots in sent.access_list
        ],
        "yParity": hex(sent.y_parity),
        "v": hex(sent.y_parity),
        "r": hex(sent.r),
        "s": hex(sent.s),
        "blockHash": data(header.hash),
        "blockNumber": hex(header.block_number),
        "transactionIndex": _INDEX,
    }


def receipt(mined: Mined, logs: list[Log]) -> Json:
    """Write what came of a transaction."""
    sent, header, result = mined
    created = keccak(rlp.encode([sent.sender, sent.nonce]))[12:]
    return {
        "transactionHash": data(sent.hash),
        "transactionIndex": _INDEX,
        "blockHash": data(header.hash),
        "blockNumber": hex(header.block_number),
        "type": "0x2",
        "from": data(sent.sender),
        "to": data(sent.to) if sent.to else None,
        "contractAddress": None if sent.to else data(created),
        "gasUsed": hex(result.gas_used),
        "cumulativeGasUsed": hex(result.gas_used),
        "effectiveGasPrice": "0x0",
        "status": "0x1" if result.state_root else "0x0",
        "logs": [log(found) for found in logs],
        "logsBloom": _bloom(result.bloom),
    }


def log(found: Log) -> Json:
    """Write an event."""
    return {
        "address": data(found.address),
        "topics": [data(topic) for topic in found.topics],
        "data": data(found.data),
        "blockNumber": hex(found.block),
        "blockHash": data(found.block_hash),
        "transactionHash": data(found.transaction_hash),
        "transactionIndex": _INDEX,
        "logIndex": hex(found.position),
        "removed": False,
    }


def _bloom(bits: int) -> str:
    return data(bits.to_bytes(256, "big"))
