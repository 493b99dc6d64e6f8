"""JSON-RPC 2.0: what may be asked of the embedded chain, and how it answers.

Three steps, each with its own kind of failure: the envelope (-32700, -32600), the
method and its parameters (-32601, -32602), the chain's refusal (-32000; 3 with
the reason's bytes when a contract reverted, as geth has it). Whatever comes in,
the answer is a result or one of those.

Sources: JSON-RPC 2.0; Ethereum execution API.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final

from eth.abc import StateAPI
from pydantic_core import from_json

from ledger.evm import params, wire
from ledger.evm.chain import EmbeddedChain, Reverted, UnknownBlock
from ledger.evm.params import RpcError
from ledger.evm.store import LogFilter
from ledger.evm.transactions import BLOCK_GAS, CHAIN_ID, Rejected
from ledger.evm.wire import Json

MAX_BATCH: Final = 100
MAX_HISTORY: Final = 1024
_ZERO: Final = "0x0"

_log = logging.getLogger(__name__)


def answer(chain: EmbeddedChain, body: bytes) -> Any:
    """Answer one request, or a batch of at most `MAX_BATCH`.

    Returns:
        The JSON value to send back; None when nothing is to be said, because all
        that came in were notifications.
    """
    try:
        # Not `json`: py-evm lifts Python's recursion limit, above which a body of
        # opening brackets overflows the stack of the C parser.
        asked = from_json(body)
    except ValueError:
        return _error(None, RpcError(-32700, "not JSON"))
    if not isinstance(asked, list):
        return _one(chain, asked)
    if not 0 < len(asked) <= MAX_BATCH:
        return _error(None, RpcError(-32600, f"a batch holds 1 to {MAX_BATCH}"))
    return [said for said in (_one(chain, one) for one in asked) if said] or None


def _one(chain: EmbeddedChain, request: object) -> dict[str, Any] | None:
    if (
        not isinstance(request, dict)
        or request.get("jsonrpc") != "2.0"
        or not isinstance(request.get("method"), str)
        or not isinstance(request.get("params", []), list)
        or not isinstance(request.get("id"), str | int | None)
    ):
        return _error(None, RpcError(-32600, "not a JSON-RPC 2.0 request"))
    try:
        result = _call(chain, request["method"], request.get("params", []))
        said = {"jsonrpc": "2.0", "id": request.get("id"), "result": result}
    except RpcError as error:
        said = _error(request.get("id"), error)
    return said if "id" in request else None


def _call(chain: EmbeddedChain, method: str, given: list[Any]) -> Any:
    if (carry_out := _METHODS.get(method)) is None:
        raise RpcError(-32601, f"no method {method[:64]}")
    try:
        inspect.signature(carry_out).bind(chain, *given)
    except TypeError as error:
        raise RpcError(-32602, f"{method}: {error}") from error
    try:
        return carry_out(chain, *given)
    except Reverted as error:
        raise RpcError(3, str(error), wire.data(error.output)) from error
    except Rejected as error:
        raise RpcError(-32000, str(error)) from error
    except RpcError:
        raise
    except Exception as error:
        _log.exception("%s failed", method)
        raise RpcError(-32603, "internal error") from error


def _error(asked: object, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": asked, "error": error.body}


# -- the methods: each takes the chain and its JSON parameters as they came ---


def _block(chain: EmbeddedChain, at: int | bytes | None, full: object) -> Json | None:
    try:
        return wire.block(chain.block(chain.header(at)), full=full is True)
    except UnknownBlock:
        return None


def _block_by_number(
    chain: EmbeddedChain, at: object, full: object = False
) -> Json | None:
    return _block(chain, params.block(at), full)


def _block_by_hash(
    chain: EmbeddedChain, at: object, full: object = False
) -> Json | None:
    return _block(chain, params.data(at, size=32), full)


def _transaction(chain: EmbeddedChain, of: object) -> Json | None:
    mined = chain.mined(params.data(of, size=32))
    return mined and wire.transaction(mined.transaction, mined.header)


def _receipt(chain: EmbeddedChain, of: object) -> Json | None:
    if (mined := chain.mined(params.data(of, size=32))) is None:
        return None
    number = mined.header.block_number
    return wire.receipt(mined, chain.logs(LogFilter(number, number)))


def _send(chain: EmbeddedChain, raw: object) -> str:
    return wire.data(chain.send(params.data(raw)))


def _state(chain: EmbeddedChain, at: object) -> StateAPI:
    return chain.state(chain.header(params.block(at)))


def _nonce(chain: EmbeddedChain, of: object, at: object = None) -> str:
    return hex(_state(chain, at).get_nonce(params.address(of)))


def _balance(chain: EmbeddedChain, of: object, at: object = None) -> str:
    return hex(_state(chain, at).get_balance(params.address(of)))


def _code(chain: EmbeddedChain, of: object, at: object = None) -> str:
    return wire.data(_state(chain, at).get_code(params.address(of)))


def _eth_call(chain: EmbeddedChain, call: object, at: object = None) -> str:
    header = chain.header(params.block(at))
    return wire.data(chain.call(params.message(call), header))


def _estimate(chain: EmbeddedChain, call: object, at: object = None) -> str:
    params.block(at)  # read and not used: an estimate is for the next block
    return hex(chain.estimate(params.message(call)))


def _logs(chain: EmbeddedChain, wanted: object) -> list[Json]:
    return [wire.log(log) for log in chain.logs(params.log_filter(chain, wanted))]


def _fee_history(
    chain: EmbeddedChain, count: object, newest: object, shares: object = None
) -> Json:
    last = chain.header(params.block(newest)).block_number
    blocks = min(params.quantity(count), MAX_HISTORY, last + 1)
    used = [chain.header(n).gas_used for n in range(last + 1 - blocks, last + 1)]
    history: Json = {
        "oldestBlock": hex(last + 1 - blocks),
        "baseFeePerGas": [_ZERO] * (blocks + 1),
        "gasUsedRatio": [gas / BLOCK_GAS for gas in used],
    }
    if isinstance(shares, list) and shares:
        history["reward"] = [[_ZERO] * len(shares)] * blocks
    return history


def _always(said: object) -> Callable[[EmbeddedChain], object]:
    return lambda _chain: said


_METHODS: Final[dict[str, Callable[..., object]]] = {
    "eth_accounts": _always([]),
    "eth_blockNumber": lambda chain: hex(chain.header().block_number),
    "eth_call": _eth_call,
    "eth_chainId": _always(hex(CHAIN_ID)),
    "eth_estimateGas": _estimate,
    "eth_feeHistory": _fee_history,
    "eth_gasPrice": _always(_ZERO),
    "eth_getBalance": _balance,
    "eth_getBlockByHash": _block_by_hash,
    "eth_getBlockByNumber": _block_by_number,
    "eth_getCode": _code,
    "eth_getLogs": _logs,
    "eth_getTransactionByHash": _transaction,
    "eth_getTransactionCount": _nonce,
    "eth_getTransactionReceipt": _receipt,
    "eth_maxPriorityFeePerGas": _always(_ZERO),
    "eth_sendRawTransaction": _send,
    "eth_syncing": _always(said=False),
    "net_version": _always(str(CHAIN_ID)),
    "web3_clientVersion": _always("fieldpact-evm/1"),
}
