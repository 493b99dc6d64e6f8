"""How the services are made that keep the log, anchor it, and prove what is in it."""

import datetime

from crypto.signing import HASHING
from ledger.checkpoint import origin_of
from node.bootstrap.adapters import Adapters
from node.services.adopt import Adopt
from node.services.align import Align
from node.services.anchor import Anchoring
from node.services.collect_cosignatures import CollectCosignatures
from node.services.compare_logs import CompareLogs
from node.services.erase import Erase
from node.services.give_bundle import GiveBundle
from node.services.give_evidence import GiveEvidence
from node.services.keep_log import KeepLog
from node.services.witness import Witness


def keep_log(own: Adapters) -> KeepLog:
    """Return what puts receipts and snapshots into the tree, and publishes it."""
    return KeepLog(
        store=own.store,
        signer=own.signer,
        origin=origin_of(own.settings.did),
        clock=own.clock,
    )


def anchoring(own: Adapters) -> Anchoring:
    """Return what anchors checkpoints on the chain."""
    return Anchoring(
        store=own.store,
        anchors=own.anchors,
        hashing=HASHING[own.signer.suite],
        clock=own.clock,
        randomness=own.randomness,
        epoch_s=own.settings.epoch_s,
    )


def adopt(own: Adapters) -> Adopt:
    """Return what takes the chain's word for what we anchored, after a restore."""
    return Adopt(store=own.store, anchors=own.anchors, clock=own.clock)


def compare_logs(own: Adapters, witness: Witness) -> CompareLogs:
    """Return what asks others what they were shown of partners' logs."""
    return CompareLogs(
        store=own.store,
        identity=own.identity,
        peers=own.peers,
        witness=witness,
        clock=own.clock,
    )


def cosignatures(own: Adapters) -> CollectCosignatures:
    """Return what has partners cosign our checkpoints."""
    witnesses = own.settings.witnesses
    return CollectCosignatures(
        store=own.store,
        identity=own.identity,
        peers=own.peers,
        clock=own.clock,
        origin=origin_of(own.settings.did),
        dids=witnesses.dids,
        quorum=witnesses.quorum,
    )


def evidence(own: Adapters, align: Align, witness: Witness) -> GiveEvidence:
    """Return what makes files by which others can verify a receipt."""
    return GiveEvidence(
        store=own.store,
        identity=own.identity,
        peers=own.peers,
        signer=own.signer,
        align=align,
        registry=own.registry,
        compare=witness.compare,
    )


def bundle(own: Adapters, evidence: GiveEvidence) -> GiveBundle:
    """Return what makes a file of all receipts of one stream."""
    return GiveBundle(
        store=own.store,
        identity=own.identity,
        evidence=evidence,
        signer=own.signer,
        clock=own.clock,
    )


def erase(own: Adapters) -> Erase:
    """Return what takes away what receipts say, when their time is over."""
    retention = datetime.timedelta(days=own.settings.retention_days)
    return Erase(store=own.store, clock=own.clock, retention=retention)
