"""What a node has opened: an adapter behind each port, its keys, its threads.

Whatever is opened here is closed by the stack that was given, in turn.
"""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass

import sqlalchemy as sa

from crypto.signing import Signer
from ledger.finality import parse_finality
from ledger.ports import Anchors
from ledger.rpc_registry import RpcRegistry
from node.adapters.compute import compute_for
from node.adapters.crm.opening import CrmSources
from node.adapters.identity import RegistryIdentity
from node.adapters.keyring import Keyring
from node.adapters.peers import HttpPeers
from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.engine import PolicyEngine
from node.adapters.registry import KeptRegistry
from node.adapters.sql.store import SqlStore, engine_for
from node.adapters.system import SystemClock, system_randomness
from node.config import Settings, environment
from node.domain.disclosure import Company
from node.ports import Clock, Identity, Peers, Randomness, Sources, Store
from node.ports.aggregates import Compute

_PROVING_THREADS, _READING_THREADS = 2, 8
_OURS = "FIELDPACT_"
"""Variables that no dataset may name as its source."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Threads:
    """Threads for what would hold the event loop up.

    Attributes:
        proving: For the proofs of answers.
        sealing: For commitments. They are threads of their own, so that a proof does
            not queue behind a hundred thousand records.
        reading: Wait for the CRM.
    """

    proving: ThreadPoolExecutor
    sealing: ThreadPoolExecutor
    reading: ThreadPoolExecutor


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapters:
    """What every service is made of.

    Attributes:
        database: Behind `store`; the audit API reads it by queries of its own.
        registry: The consortium's contract of keys, if there is one.
        anchors: The contract that anchors logs, if there is a chain.
        process: Names this process, where several work on one store.
    """

    settings: Settings
    keys: Keyring
    clock: Clock
    randomness: Randomness
    database: sa.Engine
    store: Store
    registry: KeptRegistry | None
    identity: Identity
    peers: Peers
    sources: Sources
    policy: PolicyEngine
    anchors: Anchors | None
    compute: Compute
    threads: Threads
    process: str

    @property
    def signer(self) -> Signer:
        """The key that signs receipts, snapshots and checkpoints."""
        return self.keys.signing

    @property
    def company(self) -> Company:
        """The company's own narrowing of what agreements allow."""
        return Company(**self.settings.company.model_dump())


def opened(
    settings: Settings, keys: Keyring, policy: PolicyEngine, stack: AsyncExitStack
) -> Adapters:
    """Return the adapters that the settings name.

    Args:
        policy: Entered already.
    """
    clock = SystemClock()
    database = engine_for(settings.database)
    store = SqlStore(database)
    stack.callback(store.close)
    registry = registry_of(settings, clock, stack)
    peers = HttpPeers(settings.authorities)
    stack.push_async_callback(peers.close)
    sources = CrmSources(_variables())
    stack.callback(sources.close)
    threads = Threads(
        proving=_pool("prove", _PROVING_THREADS, stack),
        sealing=_pool("seal", _PROVING_THREADS, stack),
        reading=_pool("crm", _READING_THREADS, stack),
    )
    anchors = anchors_of(settings, keys, stack)
    compute = compute_for(settings)
    stack.push_async_callback(compute.close)
    return Adapters(
        settings=settings,
        keys=keys,
        clock=clock,
        randomness=system_randomness,
        database=database,
        store=store,
        registry=registry,
        identity=RegistryIdentity(
            settings.participants,
            did=settings.did,
            signer=keys.ed25519,
            clock=clock,
            keys=registry,
            receipts=keys.signing,
        ),
        peers=peers,
        sources=sources,
        policy=policy,
        anchors=anchors,
        compute=compute,
        threads=threads,
        process=system_randomness(16).hex(),
    )


def _variables() -> dict[str, str]:
    """Return the environment without what is the node's own."""
    return {
        name: value
        for name, value in environment().items()
        if not name.startswith(_OURS)
    }


def _pool(name: str, size: int, stack: AsyncExitStack) -> ThreadPoolExecutor:
    pool = ThreadPoolExecutor(size, thread_name_prefix=name)
    stack.callback(pool.shutdown)
    return pool


def policy_of(settings: Settings) -> PolicyEngine:
    """Return the policy engine of the settings; enter it before use."""
    bundle = load_bundle(settings.policies)
    if settings.policy == "embedded":
        return EmbeddedEngine(bundle)
    # OPA's client takes a third of a second to import; most nodes need it not.
    from node.adapters.policy.opa_server import OpaServer  # noqa: PLC0415

    return OpaServer(bundle, url=settings.policy)


def registry_of(
    settings: Settings, clock: Clock, stack: AsyncExitStack
) -> KeptRegistry | None:
    """Return the consortium's contract of keys, if the settings name one."""
    chain = settings.chain
    if chain is None or chain.registry is None:
        return None
    reader = RpcRegistry(chain.url, chain.registry, chain_id=chain.chain_id)
    stack.callback(reader.close)
    return KeptRegistry(reader, clock, stale_s=chain.registry_stale_s)


def anchors_of(
    settings: Settings, keys: Keyring, stack: AsyncExitStack
) -> Anchors | None:
    """Return the contract that anchors logs, if the settings name a chain."""
    chain = settings.chain
    if chain is None:
        return None
    # It brings in web3, a second and a half that a node without a chain need not wait.
    from ledger.chain import RpcAnchors  # noqa: PLC0415

    anchors = RpcAnchors(
        chain.url,
        key=keys.secp256k1,
        contract=chain.contract,
        chain_id=chain.chain_id,
        finality=parse_finality(chain.finality),
    )
    stack.callback(anchors.close)
    return anchors
