"""All services of a node, put together.

Each is made once. Those that others are made of are made first; the rest stands in
`Services` in the order in which it is asked for.
"""

from node.adapters.sql.audit import SqlAudit
from node.bootstrap import calls, logs, sharing
from node.bootstrap.adapters import Adapters
from node.bootstrap.readiness import Readiness
from node.services import Services
from node.services.aggregates.tell_budget import TellBudget
from node.services.compare_keys import CompareKeys
from node.services.receive import Receive
from node.services.send import Send
from node.services.witness import Witness


def services_of(own: Adapters) -> Services:
    """Return every service of a node."""
    store, identity, clock = own.store, own.identity, own.clock
    send = Send(identity=identity, peers=own.peers, randomness=own.randomness)
    commit = sharing.commit(own)
    snapshots = sharing.snapshots(own, commit)
    align = sharing.align(own, send, snapshots)
    witness = Witness(store=store, identity=identity, signer=own.signer, clock=clock)
    countersign = calls.countersign(own, send)
    receive = Receive(store=store, countersign=countersign, clock=clock)
    situate = calls.situate(own)
    evidence = logs.evidence(own, align, witness)
    compare_keys = CompareKeys(
        store=store, identity=identity, registry=own.registry, clock=clock
    )
    return Services(
        identity=identity,
        store=store,
        clock=clock,
        audit=_audit(own),
        publish=sharing.publish(own, commit, align, snapshots),
        snapshots=snapshots,
        negotiate=sharing.negotiate(own, send),
        align=align,
        disclose=calls.disclose(own, situate, snapshots),
        ask=calls.ask(own, align, receive, witness),
        countersign=countersign,
        reconcile=calls.reconcile(own, send, countersign),
        tell_stream=calls.tell_stream(own),
        evidence=evidence,
        bundle=logs.bundle(own, evidence),
        keep_log=logs.keep_log(own),
        anchoring=logs.anchoring(own),
        adopt=logs.adopt(own),
        witness=witness,
        compare_logs=logs.compare_logs(own, witness),
        cosignatures=logs.cosignatures(own),
        erase=logs.erase(own),
        registry=own.registry,
        compare_keys=compare_keys,
        budget=TellBudget(store=store, clock=clock, company=own.company),
        aggregates=calls.aggregates(own, situate, receive, align),
        ready=Readiness(store, own.policy, identity, clock, compare_keys),
    )


def _audit(own: Adapters) -> SqlAudit:
    purposes = [each.model_dump(mode="json") for each in own.settings.purposes]
    return SqlAudit(own.database, own.identity, purposes)
