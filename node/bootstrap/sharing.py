"""How the services are made by which a company shares: before anybody asks."""

from node.bootstrap.adapters import Adapters
from node.services.align import Align
from node.services.builds import Builds
from node.services.commit import Commit
from node.services.draft_snapshot import DraftSnapshot
from node.services.keep_snapshots import KeepSnapshots
from node.services.negotiate import Negotiate
from node.services.publish import Publish
from node.services.seal_records import SealRecords
from node.services.send import Send


def commit(own: Adapters) -> Commit:
    """Return what commits to records and signs the commitments."""
    return Commit(
        did=own.settings.did, key=own.keys.bls12381g2, randomness=own.randomness
    )


def snapshots(own: Adapters, commit: Commit) -> KeepSnapshots:
    """Return what keeps the snapshots of agreements up to date."""
    draft = DraftSnapshot(
        commit=commit, clock=own.clock, randomness=own.randomness, signer=own.signer
    )
    builds = Builds(clock=own.clock, process=own.process)
    seal = SealRecords(
        store=own.store,
        sources=own.sources,
        commit=commit,
        draft=draft,
        builds=builds,
        sealing=own.threads.sealing,
        reading=own.threads.reading,
    )
    return KeepSnapshots(store=own.store, draft=draft, seal=seal, builds=builds)


def publish(
    own: Adapters, commit: Commit, align: Align, snapshots: KeepSnapshots
) -> Publish:
    """Return what publishes datasets."""
    return Publish(
        store=own.store,
        sources=own.sources,
        commit=commit,
        align=align,
        snapshots=snapshots,
        clock=own.clock,
        gm_only=own.settings.gm_only,
        process=own.process,
    )


def negotiate(own: Adapters, send: Send) -> Negotiate:
    """Return what comes to agreements with partners."""
    return Negotiate(
        store=own.store,
        identity=own.identity,
        send=send,
        clock=own.clock,
        randomness=own.randomness,
        signer=own.keys.ed25519,
    )


def align(own: Adapters, send: Send, snapshots: KeepSnapshots) -> Align:
    """Return what finds out which customers are shared."""
    return Align(
        store=own.store,
        identity=own.identity,
        send=send,
        clock=own.clock,
        agreeing=own.keys.x25519,
        snapshots=snapshots,
    )
