"""What a figure is, in words: read from the plan, the signed half of a job.

A number from several companies says nothing without these: over whom it is, what was
cut off, how much noise is in it, who could decrypt what, and what it cost.
"""

from collections.abc import Callable, Iterator
from typing import TypeAlias

from markupsafe import Markup

from dashboard import proofs
from dashboard.figures import epsilon, written
from dashboard.i18n import Speech
from ledger.plans import Group, Kind, Plan

Name: TypeAlias = Callable[[str], object]
Fact: TypeAlias = tuple[str, Markup]

EXACT = frozenset({Kind.INTERSECTION, Kind.RING_COUNT})
"""Kinds whose figures carry no noise."""


def facts(
    plan: Plan, speech: Speech, field: Name, unit: str | None, scale: int | None
) -> tuple[Fact, ...]:
    """Say what a plan asked for, within which limits.

    Args:
        plan: Checked, or marked as not.
        speech: The reader's.
        field: What a field is called.
        unit: Of the measure, as the node states it.
        scale: Digits after the point of the measure, as the node states it; None
            where it did not.
    """
    return (
        ("measure", _measure(plan, speech, field)),
        *_groups(plan, speech, field),
        *_filters(plan, speech, field),
        ("cohort", _cohort(plan, speech)),
        *_limits(plan, speech, unit, scale),
        ("noise", _noise(plan, speech)),
        *_weights(plan, speech),
        ("decrypted", decrypted(plan, speech)),
    )


def decrypted(plan: Plan, speech: Speech) -> Markup:
    """Say who decrypted what."""
    way = f"{plan.kind}.{plan.mode}" if plan.mode else plan.kind.value
    return speech.say(f"plan.decrypted.{way}")


def _measure(plan: Plan, speech: Speech, field: Name) -> Markup:
    what, name = plan.measure.what, plan.measure.field
    if name is None:
        over = "cell" if plan.groups else "records"
        over = "customers" if plan.kind in EXACT else over
        return speech.say(f"plan.measure.{over}")
    return speech.say(f"plan.measure.{what}", field=field(name))


def _cohort(plan: Plan, speech: Speech) -> Markup:
    if plan.kind is Kind.FEDERATED_SUM:
        over = "federated"
    else:
        over = plan.cohort if plan.kind is Kind.HEAT_MAP else "shared"
    return speech.say(f"plan.cohort.{over}", k=plan.k_min)


def _groups(plan: Plan, speech: Speech, field: Name) -> Iterator[Fact]:
    if not plan.groups:
        return

    def said(group: Group) -> Markup:
        grain = speech.say(f"grain.{group.grain}")
        return speech.say(
            "plan.group", field=field(group.field), grain=grain, n=len(group.values)
        )

    comma = speech.say("list.comma")
    yield "groups", comma.join(said(group) for group in plan.groups)


def _filters(plan: Plan, speech: Speech, field: Name) -> Iterator[Fact]:
    if plan.filters:
        yield "filters", proofs.asked(speech, plan.filters, {}, field)


def _limits(
    plan: Plan, speech: Speech, unit: str | None, scale: int | None
) -> Iterator[Fact]:
    if plan.kind in EXACT:
        return
    said = []
    if plan.measure.what == "sum":
        bound = written(speech, plan.measure.bound, scale or 0)
        bound += f" {unit}" if unit else ""
        where = "cell" if plan.groups else "whole"
        clip = speech.say(f"plan.clip.{where}", bound=bound)
        said = [clip if scale is not None else speech.say("plan.clip.raw", clip=clip)]
    if plan.groups:
        said.append(speech.say("plan.clip.cells", n=plan.contribution))
    once = [speech.say("plan.clip.once")]
    yield "clip", speech.say("list.semicolon").join(said or once)


def _weights(plan: Plan, speech: Speech) -> Iterator[Fact]:
    if plan.kind is Kind.HEAT_MAP and plan.mode in {"C", "flip"}:
        yield "weights", speech.say("plan.weights.some")


def _noise(plan: Plan, speech: Speech) -> Markup:
    if plan.kind in EXACT:
        return speech.say("plan.noise.none")
    return speech.say("plan.noise.some", epsilon=epsilon(plan.epsilon_micro))
