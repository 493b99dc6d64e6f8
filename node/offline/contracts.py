"""The consortium's contracts, as a person uses them: by one call, or for one block."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from crypto.keys import Secp256k1Key
from ledger.errors import ChainUnavailable
from ledger.rpc_reader import RpcChainReader
from ledger.rpc_registry import RpcRegistry
from node.adapters.keyring import load_keys
from node.config import Settings, environment
from node.errors import BadRequest

if TYPE_CHECKING:
    from ledger.sender import Sender

_PATIENCE_S: Final = 20.0
"""How long a person waits for each answer of a chain, in seconds."""


def deploy_contract(settings: Settings, url: str) -> str:
    """Create the consortium's anchor contract; return its address.

    Where the settings name a contract that is there already, that one is returned.
    """
    if settings.chain is not None:
        with closing(RpcChainReader(url, settings.chain.contract)) as reader:
            if _is_there(reader):
                return settings.chain.contract
    # It brings in web3, which takes a second and a half.
    from ledger.chain import deploy  # noqa: PLC0415

    keys = load_keys(settings.keys, environment())
    return deploy(url, key=keys.secp256k1)


@contextmanager
def account(settings: Settings, url: str = "") -> Iterator["Sender"]:
    """Give the sender of this node's transactions, while the block lasts.

    Args:
        url: JSON-RPC address of the chain; that of the settings if empty.

    Raises:
        BadRequest: A key cannot be used, or no chain is named.
    """
    chain = settings.chain
    if not url and chain is None:
        detail = "The settings name no chain. Say where it is with --chain."
        raise BadRequest("chain.unset", detail)
    key = load_keys(settings.keys, environment()).secp256k1
    chain_id = chain.chain_id if chain else None
    where = url or (chain.url if chain else "")
    with sending(where, key, chain_id) as sender:
        yield sender


@contextmanager
def sending(url: str, key: Secp256k1Key, chain_id: int | None) -> Iterator["Sender"]:
    """Give the sender of one account's transactions, while the block lasts."""
    from ledger.sender import Sender  # noqa: PLC0415  # it brings in web3, too

    made = Sender(url, key, chain_id=chain_id, timeout_s=_PATIENCE_S)
    with closing(made) as sender:
        yield sender


@contextmanager
def registry(settings: Settings) -> Iterator[RpcRegistry]:
    """Give the consortium's registry contract, while the block lasts.

    Raises:
        BadRequest: The settings name none.
    """
    chain = settings.chain
    if chain is None or chain.registry is None:
        detail = "The settings name no registry: write its address as chain.registry."
        raise BadRequest("registry.unset", detail)
    reader = RpcRegistry(
        chain.url, chain.registry, chain_id=chain.chain_id, timeout_s=_PATIENCE_S
    )
    with closing(reader) as opened:
        yield opened


def registry_there(settings: Settings) -> str | None:
    """Return the registry that the settings name, if it is on the chain; or None."""
    if settings.chain is None or settings.chain.registry is None:
        return None
    with registry(settings) as reader:
        return reader.contract if _is_there(reader) else None


def _is_there(reader: RpcChainReader | RpcRegistry) -> bool:
    """Tell whether a chain holds our contract at the address that is read."""
    try:
        _ = reader.chain_id
    except ChainUnavailable:
        return False
    return True
