"""Which protocol stands behind which kind of plan, on either side."""

from dataclasses import dataclass

from crypto import noise
from crypto.signing import Signer
from ledger.plans import Kind, Plan, SignedPlan, sign_plan
from node.domain.disclosure import Company
from node.ports import (
    Identity,
    Peers,
    PolicyDecisionPoint,
    Sources,
    Store,
)
from node.services.aggregates.align_by_intersection import AlignByIntersection
from node.services.aggregates.answer import AnswerStep
from node.services.aggregates.call import CallStep
from node.services.aggregates.carry_out import CarryOut
from node.services.aggregates.draw_up import DrawUp
from node.services.aggregates.federate_asker import FederateAsker
from node.services.aggregates.federate_provider import FederateProvider
from node.services.aggregates.heat_map_asker import HeatMapAsker
from node.services.aggregates.heat_map_owner import HeatMapOwner
from node.services.aggregates.intersect import CustomersOf, Intersect
from node.services.aggregates.intersect_asking import AskIntersection
from node.services.aggregates.intersect_prepare import PrepareList
from node.services.aggregates.job_run import Keeping
from node.services.aggregates.jobs import Jobs
from node.services.aggregates.joint_asking import AskJointSum
from node.services.aggregates.joint_sum import JointSum
from node.services.aggregates.readied import Readied
from node.services.aggregates.ring import Ring
from node.services.aggregates.ring_asking import AskRing
from node.services.aggregates.steps import (
    Asking,
    Handler,
    Preparing,
    Run,
    StepCall,
)
from node.services.aggregates.tally import Tally
from node.services.align import Align
from node.services.receive import Receive
from node.services.situate import Situate


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregates:
    """Both sides of aggregates.

    Attributes:
        answer: Answers steps of partners' plans.
        draw_up: Makes plans of ours.
        jobs: What is under way, of ours and of theirs.
    """

    answer: AnswerStep
    draw_up: DrawUp
    jobs: Jobs
    readied: Readied


def assembled(
    *,
    keeping: Keeping,
    identity: Identity,
    peers: Peers,
    sources: Sources,
    policy: PolicyDecisionPoint,
    situate: Situate,
    receive: Receive,
    align: Align,
    signer: Signer,
    company: Company,
    process: str,
) -> Aggregates:
    """Return both sides, put together."""
    store, clock, randomness = keeping.store, keeping.clock, keeping.randomness
    did, readied = situate.identity.me.did, Readied(keeping.compute)
    call = CallStep(
        store=store,
        identity=identity,
        peers=peers,
        receive=receive,
        clock=clock,
        randomness=randomness,
    )
    carry_out = CarryOut(
        keeping=keeping,
        askings=_askings(call, keeping, identity, align, signer),
        preparings=_preparings(keeping),
        sign=lambda plan: sign_plan(plan, signer),
        ready=readied.first,
    )
    jobs = Jobs(keeping=keeping, carry_out=carry_out, did=did, process=process)
    return Aggregates(
        answer=AnswerStep(
            store=store,
            policy=policy,
            situate=situate,
            handlers=_handlers(keeping, identity, sources, signer),
            jobs=jobs,
            readied=readied,
            clock=clock,
            randomness=randomness,
            signer=signer,
            did=did,
            company=company,
        ),
        draw_up=DrawUp(
            store=store,
            align=align,
            compute=keeping.compute,
            jobs=jobs,
            readied=readied,
            clock=clock,
            randomness=randomness,
            signer=signer,
            did=did,
        ),
        jobs=jobs,
        readied=readied,
    )


def _handlers(
    keeping: Keeping, identity: Identity, sources: Sources, signer: Signer
) -> dict[Kind, Handler]:
    """Return the provider's side of each kind of plan."""
    store, clock, randomness = keeping.store, keeping.clock, keeping.randomness
    tally = Tally(sources=sources, store=store, clock=clock, randomness=randomness)

    async def values(call: StepCall, run: Run) -> dict[str, int]:
        found = await tally.customer_values(
            call.plan, call.party, call.agreement, call.publication, run
        )
        return dict(found)

    lists = Intersect(customers=_customers_of(store), randomness=randomness)
    return {
        Kind.HEAT_MAP: HeatMapOwner(tally=tally, randomness=randomness),
        Kind.INTERSECTION: lists,
        Kind.JOINT_SUM: JointSum(lists=lists, values=values),
        Kind.RING_COUNT: Ring(lists=lists, signer=signer, pinned=identity.participant),
        Kind.FEDERATED_SUM: FederateProvider(
            store=store,
            identity=identity,
            signer=signer,
            cells=tally.cells,
            clock=clock,
            randomness=randomness,
        ),
    }


def _preparings(keeping: Keeping) -> dict[Kind, Preparing]:
    """Return what comes before a plan is signed, of the kinds that need it."""
    listing = PrepareList(
        customers=_customers_of(keeping.store), randomness=keeping.randomness
    )
    return dict.fromkeys((Kind.INTERSECTION, Kind.JOINT_SUM, Kind.RING_COUNT), listing)


def _customers_of(store: Store) -> CustomersOf:
    """Return what reads the customers of our datasets."""

    async def customers(dataset: str) -> list[str]:
        return list(await store.read(lambda view: view.datasets.customers(dataset)))

    return customers


def _askings(
    call: CallStep,
    keeping: Keeping,
    identity: Identity,
    align: Align,
    signer: Signer,
) -> dict[Kind, Asking]:
    """Return the asker's side of each kind of plan."""
    randomness = keeping.randomness

    def sign(plan: Plan) -> SignedPlan:
        return sign_plan(plan, signer)

    return {
        Kind.HEAT_MAP: HeatMapAsker(call=call, randomness=randomness),
        Kind.INTERSECTION: AskIntersection(
            call=call, matched=AlignByIntersection(declare=align.declare)
        ),
        Kind.JOINT_SUM: AskJointSum(call=call, randomness=randomness),
        Kind.RING_COUNT: AskRing(call=call),
        Kind.FEDERATED_SUM: FederateAsker(
            identity=identity,
            call=call,
            resign=sign,
            clock=keeping.clock,
            randomness=randomness,
            spread=noise.spread,
        ),
    }
