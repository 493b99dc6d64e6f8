"""How the services are made that ask, answer and settle calls, on either side."""

from node.bootstrap.adapters import Adapters
from node.services.acknowledge import Acknowledge
from node.services.aggregates.assembled import Aggregates, assembled
from node.services.aggregates.job_run import Keeping
from node.services.align import Align
from node.services.ask import Ask
from node.services.compare_as_consumer import CompareAsConsumer
from node.services.compare_as_provider import CompareAsProvider
from node.services.countersign import Countersign
from node.services.disclose import Disclose
from node.services.keep_snapshots import KeepSnapshots
from node.services.prove import Prove
from node.services.read import Read
from node.services.receive import Receive
from node.services.reconcile import Reconcile
from node.services.send import Send
from node.services.situate import Situate
from node.services.tell_stream import TellStream
from node.services.watch import Watch
from node.services.witness import Witness


def situate(own: Adapters) -> Situate:
    """Return what looks at all that a call is decided on."""
    company = own.company
    acknowledge = Acknowledge(identity=own.identity, most=company.max_unacknowledged)
    return Situate(
        store=own.store,
        identity=own.identity,
        acknowledge=acknowledge,
        clock=own.clock,
        company=company,
    )


def disclose(own: Adapters, situate: Situate, snapshots: KeepSnapshots) -> Disclose:
    """Return what answers a partner's question."""
    threads = own.threads
    return Disclose(
        store=own.store,
        policy=own.policy,
        identity=own.identity,
        situate=situate,
        read=Read(
            store=own.store,
            sources=own.sources,
            snapshots=snapshots,
            threads=threads.reading,
        ),
        prove=Prove(
            public=own.keys.bls12381g2.public_bytes,
            randomness=own.randomness,
            threads=threads.proving,
        ),
        clock=own.clock,
        randomness=own.randomness,
        signer=own.signer,
        company=own.company,
    )


def ask(own: Adapters, align: Align, receive: Receive, witness: Witness) -> Ask:
    """Return what puts a question of ours to a partner."""
    watch = Watch(
        store=own.store, peers=own.peers, chain=own.anchors, compare=witness.compare
    )
    return Ask(
        store=own.store,
        identity=own.identity,
        peers=own.peers,
        align=align,
        receive=receive,
        watch=watch,
        clock=own.clock,
        randomness=own.randomness,
    )


def countersign(own: Adapters, send: Send) -> Countersign:
    """Return what signs partners' receipts back."""
    return Countersign(
        store=own.store,
        identity=own.identity,
        send=send,
        signer=own.signer,
        clock=own.clock,
    )


def reconcile(own: Adapters, send: Send, countersign: Countersign) -> Reconcile:
    """Return what compares streams of receipts with a partner."""
    return Reconcile(
        store=own.store,
        identity=own.identity,
        clock=own.clock,
        as_consumer=CompareAsConsumer(
            store=own.store,
            send=send,
            countersign=countersign,
            signer=own.signer,
            clock=own.clock,
        ),
        as_provider=CompareAsProvider(
            store=own.store,
            send=send,
            countersign=countersign,
            signer=own.signer,
            clock=own.clock,
        ),
    )


def tell_stream(own: Adapters) -> TellStream:
    """Return what tells a partner of the streams between it and us."""
    return TellStream(
        store=own.store, identity=own.identity, clock=own.clock, signer=own.signer
    )


def aggregates(
    own: Adapters, situate: Situate, receive: Receive, align: Align
) -> Aggregates:
    """Return what figures over many customers need, on either side."""
    return assembled(
        keeping=Keeping(
            store=own.store,
            compute=own.compute,
            clock=own.clock,
            randomness=own.randomness,
            storage=own.keys.x25519,
        ),
        identity=own.identity,
        peers=own.peers,
        sources=own.sources,
        policy=own.policy,
        situate=situate,
        receive=receive,
        align=align,
        signer=own.signer,
        company=own.company,
        process=own.process,
    )
