"""The shape of an answer: what an engine says, read as a decision or not at all.

An engine can be up and still be wrong: hold an older policy, or none, or be
something else that listens on the same port. Its answer counts only when it has
exactly the seven members, each of its type, and does not contradict itself.

`policies/schemas/decision.json` is the JSON Schema of this model.
"""

from collections.abc import Collection

from pydantic import BaseModel, ConfigDict

from node.domain.decision import Decision


class PolicyFault(Exception):
    """The engine gave no decision; `code` is the denial that says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Answer(BaseModel):
    """The value of `data.fieldpact.decision.result`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    allow: bool
    fields: list[str]
    predicate_fields: list[str]
    aggregate_fields: list[str]
    denials: list[str]
    denied_fields: list[str]
    obligations: list[str]


def read_answer(
    answer: object,
    *,
    asked: Collection[str],
    asked_about: Collection[str],
    figured: Collection[str] | None,
    revision: str,
    input_hash: str,
    engine: str,
) -> Decision:
    """Read an engine's answer as a decision.

    Args:
        answer: What the engine gave for the rule, parsed from JSON.
        asked: The requested fields; an allowed call releases all of them.
        asked_about: The fields of the requested predicates; likewise.
        figured: The fields of the plan, likewise; None if there is no plan. Only a
            plan can be allowed that names no field.
        revision: Of the policies that the engine holds.
        input_hash: Of the question.
        engine: Name and version.

    Raises:
        PolicyFault: `policy.malformed`.
    """
    try:
        parsed = Answer.model_validate(answer)
        decision = Decision(
            allow=parsed.allow,
            fields=_sorted(parsed.fields),
            predicate_fields=_sorted(parsed.predicate_fields),
            aggregate_fields=_sorted(parsed.aggregate_fields),
            denials=_sorted(parsed.denials),
            denied_fields=_sorted(parsed.denied_fields),
            obligations=_sorted(parsed.obligations),
            revision=revision,
            input_hash=input_hash,
            engine=engine,
        )
    except ValueError:
        raise PolicyFault("policy.malformed") from None
    wanted = (_sorted(asked), _sorted(asked_about), _sorted(figured or ()))
    released = (decision.fields, decision.predicate_fields, decision.aggregate_fields)
    something = any(wanted) or figured is not None
    if decision.allow and (released != wanted or not something):
        raise PolicyFault("policy.malformed")
    return decision


def _sorted(names: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names)))
