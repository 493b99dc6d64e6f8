"""The composition root: which adapter stands behind which port.

Nothing else chooses adapters. The background work of a node (integrate, publish,
anchor) lives and dies with its services.
"""

import asyncio
import datetime
import hashlib
import logging
import stat
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from fastapi import FastAPI

from crypto.signing import HASHING
from ledger.checkpoint import origin_of
from ledger.errors import ChainUnavailable
from ledger.finality import parse_finality
from ledger.participants import Participant
from ledger.ports import Anchors
from ledger.rpc_registry import RpcRegistry
from node.adapters.compute import compute_for
from node.adapters.crm.declaration import load_declaration
from node.adapters.crm.opening import CrmSources
from node.adapters.identity import RegistryIdentity
from node.adapters.keyring import Keyring, load_keys
from node.adapters.peers import HttpPeers
from node.adapters.policy.bundle import load_bundle
from node.adapters.policy.embedded import EmbeddedEngine
from node.adapters.policy.engine import PolicyEngine
from node.adapters.registry import KeptRegistry
from node.adapters.sql.audit import SqlAudit
from node.adapters.sql.lock import alone
from node.adapters.sql.store import SqlStore, engine_for
from node.adapters.system import SystemClock, system_randomness
from node.api.app import create_app
from node.background import background as _background
from node.config import Settings, environment
from node.domain.disclosure import Company
from node.errors import BadRequest, Unavailable
from node.migrations import upgrade
from node.ports import Clock, Identity, PolicyDecisionPoint, Store
from node.services import Services
from node.services.acknowledge import Acknowledge
from node.services.adopt import Adopt
from node.services.aggregates.assembled import assembled
from node.services.aggregates.job_run import Keeping
from node.services.aggregates.tell_budget import TellBudget
from node.services.align import Align
from node.services.anchor import Anchoring
from node.services.ask import Ask
from node.services.check_suites import check_suites
from node.services.collect_cosignatures import CollectCosignatures
from node.services.commit import Commit
from node.services.compare_as_consumer import CompareAsConsumer
from node.services.compare_as_provider import CompareAsProvider
from node.services.compare_keys import CompareKeys
from node.services.compare_logs import CompareLogs
from node.services.countersign import Countersign
from node.services.disclose import Disclose
from node.services.draft_snapshot import DraftSnapshot
from node.services.erase import Erase
from node.services.give_bundle import GiveBundle
from node.services.give_evidence import GiveEvidence
from node.services.keep_log import KeepLog
from node.services.keep_snapshots import KeepSnapshots
from node.services.negotiate import Negotiate
from node.services.prove import Prove
from node.services.publish import Publish
from node.services.read import Read
from node.services.receive import Receive
from node.services.reconcile import Reconcile
from node.services.send import Send
from node.services.situate import Situate, check_whole
from node.services.tell_stream import TellStream
from node.services.watch import Watch
from node.services.witness import Witness

_log = logging.getLogger("fieldpact")
_PROVING_THREADS, _READING_THREADS = 2, 8
SECRETS = "FIELDPACT_KEY_"
_OURS = "FIELDPACT_"
"""Variables that no dataset may name as its source."""
_SHORTEST_TOKEN = 32
_READINESS_KEPT_MS = 1000.0


def application(settings: Settings) -> FastAPI:
    """Return the node's HTTP application, ready to be served.

    Raises:
        BadRequest: A token or a dataset's declaration cannot be used.
    """
    for file in settings.datasets:
        load_declaration(file)
    return create_app(lambda: running(settings), _operators(settings))


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Services]:
    """Open everything a node needs, and its background work; close it in turn.

    Raises:
        BadRequest: A key or token file cannot be used.
        Unavailable: The store, the registry or the policy engine is not there, the
            registry pins other keys for this node, or the engine does not decide
            as pinned: the node refuses to serve.
    """
    keys = load_keys(settings.keys, environment(), suite=settings.suite)
    async with AsyncExitStack() as stack:
        stack.enter_context(alone(settings.database))
        await asyncio.to_thread(upgrade, settings.database)
        engine = await stack.enter_async_context(policy_of(settings))
        await engine.ready()
        services = _services(settings, keys, engine, stack)
        me = services.identity.me
        _check_pinned(me, record_of(settings, keys), settings)
        await services.store.read(partial(check_suites, me, gm_only=settings.gm_only))
        await _compare_first(services.compare_keys)
        work = asyncio.create_task(
            _background(services, settings, engine, load_declaration)
        )
        stack.push_async_callback(_stop, work)
        yield services


def _check_pinned(pinned: Participant, own: Participant, settings: Settings) -> None:
    """Check that partners can verify what this node will sign and anchor.

    With another key pinned they would refuse every answer, after it was disclosed.
    """
    others: list[str] = [
        suite for suite, public in own.keys.items() if pinned.keys.get(suite) != public
    ]
    if pinned.suite != own.suite:
        others.append("signing")
    if pinned.chain_address.lower() != own.chain_address:
        others.append("chain_address")
    if others:
        detail = f"{settings.participants} pins another {', '.join(others)} for this "
        mend = "node. Have it pin the record that `fieldpact partner show` prints."
        raise Unavailable("registry.self", detail + mend)


async def _compare_first(compare_keys: CompareKeys) -> None:
    """Refuse to start with keys that the consortium's registry does not hold.

    Without the chain it starts, and answers no partner until the chain is asked.
    """
    try:
        await compare_keys()
    except ChainUnavailable as error:
        _log.warning("%s", error)
    else:
        compare_keys.own()


class _Readiness:
    """Whether the node can serve. Anybody may ask, so it tells nothing else.

    However often it is asked, the policy engine is asked once a second at most.
    """

    def __init__(
        self,
        store: Store,
        policy: PolicyDecisionPoint,
        identity: Identity,
        clock: Clock,
        compare_keys: CompareKeys,
    ) -> None:
        self._store, self._policy = store, policy
        self._compare_keys = compare_keys
        self._identity, self._clock = identity, clock
        self._asked_ms = float("-inf")
        self._answer: Unavailable | None = None

    async def __call__(self) -> None:
        """Return if everything is there.

        Raises:
            Unavailable: Naming what is not; the node's own log tells more.
        """
        await self._store.read(check_whole)
        _ = self._identity.me
        if self._clock.elapsed_ms() - self._asked_ms > _READINESS_KEPT_MS:
            self._asked_ms = self._clock.elapsed_ms()
            self._answer = await self._ask()
        if self._answer is not None:
            raise self._answer

    async def _ask(self) -> Unavailable | None:
        try:
            self._compare_keys.own()
        except Unavailable as error:
            _log.warning("%s", error)
            detail = "The consortium's registry is not known to hold our keys."
            return Unavailable(error.code, detail)
        try:
            await self._policy.ready()
        except Unavailable as error:
            _log.warning("%s", error)
            return Unavailable(error.code, "The policy engine is not ready.")
        return None


def _services(
    settings: Settings, keys: Keyring, policy: PolicyEngine, stack: AsyncExitStack
) -> Services:
    clock, randomness = SystemClock(), system_randomness
    signer = keys.signing
    database = engine_for(settings.database)
    store = SqlStore(database)
    stack.callback(store.close)
    registry = _registry(settings, clock, stack)
    identity = RegistryIdentity(
        settings.participants,
        did=settings.did,
        signer=keys.ed25519,
        clock=clock,
        keys=registry,
        receipts=keys.signing,
    )
    compare_keys = CompareKeys(
        store=store, identity=identity, registry=registry, clock=clock
    )
    peers = HttpPeers(settings.authorities)
    stack.push_async_callback(peers.close)
    sources = CrmSources(
        {
            name: value
            for name, value in environment().items()
            if not name.startswith(_OURS)
        }
    )
    stack.callback(sources.close)
    threads = ThreadPoolExecutor(_PROVING_THREADS, thread_name_prefix="prove")
    stack.callback(threads.shutdown)
    reading = ThreadPoolExecutor(_READING_THREADS, thread_name_prefix="crm")
    stack.callback(reading.shutdown)
    commit = Commit(did=settings.did, key=keys.bls12381g2, randomness=randomness)
    send = Send(identity=identity, peers=peers, randomness=randomness)
    # Threads of their own: a proof does not queue behind a hundred thousand records.
    sealing = ThreadPoolExecutor(_PROVING_THREADS, thread_name_prefix="seal")
    stack.callback(sealing.shutdown)
    process = randomness(16).hex()
    snapshots = KeepSnapshots(
        store=store,
        sources=sources,
        commit=commit,
        draft=DraftSnapshot(
            commit=commit, clock=clock, randomness=randomness, signer=signer
        ),
        clock=clock,
        sealing=sealing,
        reading=reading,
        process=process,
    )
    anchors = _anchors(settings, keys, stack)
    align = Align(
        store=store,
        identity=identity,
        send=send,
        clock=clock,
        agreeing=keys.x25519,
        snapshots=snapshots,
    )
    witness = Witness(store=store, identity=identity, signer=signer, clock=clock)
    evidence = GiveEvidence(
        store=store,
        identity=identity,
        peers=peers,
        signer=signer,
        align=align,
        registry=registry,
        compare=witness.compare,
    )
    countersign = Countersign(
        store=store, identity=identity, send=send, signer=signer, clock=clock
    )
    company = Company(**settings.company.model_dump())
    situate = Situate(
        store=store,
        identity=identity,
        acknowledge=Acknowledge(identity=identity, most=company.max_unacknowledged),
        clock=clock,
        company=company,
    )
    compute = compute_for(settings)
    stack.push_async_callback(compute.close)
    receive = Receive(store=store, countersign=countersign, clock=clock)
    aggregates = assembled(
        keeping=Keeping(
            store=store,
            compute=compute,
            clock=clock,
            randomness=randomness,
            storage=keys.x25519,
        ),
        identity=identity,
        peers=peers,
        sources=sources,
        policy=policy,
        situate=situate,
        receive=receive,
        align=align,
        signer=signer,
        company=company,
        process=process,
    )
    stack.push_async_callback(aggregates.jobs.close)

    return Services(
        identity=identity,
        store=store,
        clock=clock,
        audit=SqlAudit(
            database,
            identity,
            [purpose.model_dump(mode="json") for purpose in settings.purposes],
        ),
        publish=Publish(
            store=store,
            sources=sources,
            commit=commit,
            align=align,
            snapshots=snapshots,
            clock=clock,
            gm_only=settings.gm_only,
            process=process,
        ),
        snapshots=snapshots,
        negotiate=Negotiate(
            store=store,
            identity=identity,
            send=send,
            clock=clock,
            randomness=randomness,
            signer=keys.ed25519,
        ),
        align=align,
        disclose=Disclose(
            store=store,
            policy=policy,
            identity=identity,
            situate=situate,
            read=Read(
                store=store, sources=sources, snapshots=snapshots, threads=reading
            ),
            prove=Prove(
                public=keys.bls12381g2.public_bytes,
                randomness=randomness,
                threads=threads,
            ),
            clock=clock,
            randomness=randomness,
            signer=signer,
            key_id=signer.key_id(settings.did),
            company=company,
        ),
        ask=Ask(
            store=store,
            identity=identity,
            peers=peers,
            align=align,
            receive=receive,
            watch=Watch(
                store=store, peers=peers, chain=anchors, compare=witness.compare
            ),
            clock=clock,
            randomness=randomness,
        ),
        countersign=countersign,
        reconcile=Reconcile(
            store=store,
            identity=identity,
            clock=clock,
            as_consumer=CompareAsConsumer(
                store=store,
                send=send,
                countersign=countersign,
                signer=signer,
                clock=clock,
            ),
            as_provider=CompareAsProvider(
                store=store,
                send=send,
                countersign=countersign,
                signer=signer,
                clock=clock,
            ),
        ),
        tell_stream=TellStream(
            store=store, identity=identity, clock=clock, signer=signer
        ),
        evidence=evidence,
        bundle=GiveBundle(
            store=store,
            identity=identity,
            evidence=evidence,
            signer=signer,
            clock=clock,
        ),
        keep_log=KeepLog(
            store=store,
            signer=signer,
            origin=origin_of(settings.did),
            clock=clock,
        ),
        anchoring=Anchoring(
            store=store,
            anchors=anchors,
            hashing=HASHING[signer.suite],
            clock=clock,
            randomness=randomness,
            epoch_s=settings.epoch_s,
        ),
        adopt=Adopt(store=store, anchors=anchors, clock=clock),
        witness=witness,
        compare_logs=CompareLogs(
            store=store, identity=identity, peers=peers, witness=witness, clock=clock
        ),
        cosignatures=CollectCosignatures(
            store=store,
            identity=identity,
            peers=peers,
            clock=clock,
            origin=origin_of(settings.did),
            dids=settings.witnesses.dids,
            quorum=settings.witnesses.quorum,
        ),
        erase=Erase(
            store=store,
            clock=clock,
            retention=datetime.timedelta(days=settings.retention_days),
        ),
        registry=registry,
        compare_keys=compare_keys,
        budget=TellBudget(store=store, clock=clock, company=company),
        aggregates=aggregates,
        ready=_Readiness(store, policy, identity, clock, compare_keys),
    )


def policy_of(settings: Settings) -> PolicyEngine:
    """Return the policy engine of the settings; enter it before use."""
    bundle = load_bundle(settings.policies)
    if settings.policy == "embedded":
        return EmbeddedEngine(bundle)
    # OPA's client takes a third of a second to import; most nodes need it not.
    from node.adapters.policy.opa_server import OpaServer  # noqa: PLC0415

    return OpaServer(bundle, url=settings.policy)


def _registry(
    settings: Settings, clock: Clock, stack: AsyncExitStack
) -> KeptRegistry | None:
    chain = settings.chain
    if chain is None or chain.registry is None:
        return None
    reader = RpcRegistry(chain.url, chain.registry, chain_id=chain.chain_id)
    stack.callback(reader.close)
    return KeptRegistry(reader, clock, stale_s=chain.registry_stale_s)


def _anchors(
    settings: Settings, keys: Keyring, stack: AsyncExitStack
) -> Anchors | None:
    if settings.chain is None:
        return None
    # It brings in web3, a second and a half that a node without a chain need not wait.
    from ledger.chain import RpcAnchors  # noqa: PLC0415

    anchors = RpcAnchors(
        settings.chain.url,
        key=keys.secp256k1,
        contract=settings.chain.contract,
        chain_id=settings.chain.chain_id,
        finality=parse_finality(settings.chain.finality),
    )
    stack.callback(anchors.close)
    return anchors


def _operators(settings: Settings) -> dict[str, str]:
    """Return the SHA-256 of each operator's token in hex, to its role."""
    operators: dict[str, str] = {}
    for each in settings.operators:
        try:
            if stat.S_IMODE(each.token.stat().st_mode) & 0o077:
                detail = f"Others can read {each.token}: run chmod 600 on it."
                raise BadRequest("token.exposed", detail)
            token = each.token.read_text(encoding="ascii").strip()
        except (OSError, ValueError) as error:
            detail = f"The operator token {each.token} cannot be read."
            raise BadRequest("token.unreadable", detail) from error
        if len(token) < _SHORTEST_TOKEN:
            detail = (
                f"Write at least {_SHORTEST_TOKEN} random characters to {each.token}."
            )
            raise BadRequest("token.short", detail)
        digest = hashlib.sha256(token.encode()).hexdigest()
        if digest in operators:
            detail = f"{each.token} holds the token of another operator."
            raise BadRequest("token.shared", detail)
        operators[digest] = each.role
    return operators


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def record_of(settings: Settings, keys: Keyring) -> Participant:
    """Return the record by which a registry can pin a node with these keys."""
    return Participant(
        did=settings.did,
        name=settings.name.model_dump(),
        url=settings.url.rstrip("/"),
        keys={
            "ed25519": keys.ed25519.public_bytes,
            "x25519": keys.x25519.public_bytes,
            "bls12381g2": keys.bls12381g2.public_bytes,
            "secp256k1": keys.secp256k1.public_bytes,
            **({"sm2": keys.sm2.public_bytes} if keys.sm2 else {}),
        },
        chain_address=keys.secp256k1.address.lower(),
        suite=keys.signing.suite,
    )
