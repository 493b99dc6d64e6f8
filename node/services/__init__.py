"""The node's verbs: one file, one class, one `__call__` each."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from node.domain.agreement import Status
from node.domain.disclosure import Caller
from node.domain.negotiation import Role
from node.errors import Conflict, NotFound, Unauthenticated
from node.ports import Audit, Clock, Identity, KeyRegistry, Store, UnitOfWork
from node.services.adopt import Adopt
from node.services.aggregates.assembled import Aggregates
from node.services.aggregates.tell_budget import TellBudget
from node.services.align import Align
from node.services.anchor import Anchoring
from node.services.ask import Ask
from node.services.collect_cosignatures import CollectCosignatures
from node.services.compare_keys import CompareKeys
from node.services.compare_logs import CompareLogs
from node.services.countersign import Countersign
from node.services.disclose import Disclose
from node.services.erase import Erase
from node.services.give_bundle import GiveBundle
from node.services.give_evidence import GiveEvidence
from node.services.keep_log import KeepLog
from node.services.keep_snapshots import KeepSnapshots
from node.services.negotiate import Negotiate
from node.services.publish import Publish
from node.services.reconcile import Reconcile
from node.services.situate import NONCE_KEPT
from node.services.tell_stream import TellStream
from node.services.witness import Witness


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """Everything that the HTTP surface can ask of a running node."""

    identity: Identity
    store: Store
    clock: Clock
    audit: Audit
    publish: Publish
    snapshots: KeepSnapshots
    negotiate: Negotiate
    align: Align
    disclose: Disclose
    ask: Ask
    countersign: Countersign
    reconcile: Reconcile
    tell_stream: TellStream
    evidence: GiveEvidence
    bundle: GiveBundle
    keep_log: KeepLog
    anchoring: Anchoring
    adopt: Adopt
    witness: Witness
    compare_logs: CompareLogs
    cosignatures: CollectCosignatures
    erase: Erase
    registry: KeyRegistry | None
    compare_keys: CompareKeys
    budget: TellBudget
    aggregates: Aggregates
    ready: Callable[[], Awaitable[None]]

    async def burn(self, caller: Caller) -> None:
        """Use up the nonce of a call that is not a query.

        Raises:
            Unauthenticated: It was used before.
        """
        until = self.clock.now() + NONCE_KEPT
        if not await self.store.write(lambda work: work.receipts.claim(caller, until)):
            detail = "This token was used before. Issue a new one for each call."
            raise Unauthenticated("nonce.replayed", detail)

    async def set_status(self, agreement: str, status: Status) -> Status:
        """Suspend, revoke or resume an agreement, from the next call on.

        Raises:
            NotFound: This node holds no such agreement.
            Conflict: It is revoked, which is for good; or it is the partner's to
                decide, because the partner is its provider.
        """

        def _keep(work: UnitOfWork) -> None:
            kept = work.agreements.hold(agreement)
            if kept is None:
                raise NotFound("agreement.unknown", "There is no such agreement.")
            if kept.role is not Role.PROVIDER:
                detail = "Only its provider decides. To stop asking, stop asking."
                raise Conflict("agreement.not_provider", detail)
            if kept.status is Status.REVOKED and status is not Status.REVOKED:
                detail = "A revoked agreement stays revoked. Make a new one."
                raise Conflict("agreement.revoked", detail)
            work.agreements.set_status(agreement, status)

        await self.store.write(_keep)
        return status
