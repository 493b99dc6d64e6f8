"""Drafts: what a person wants to know, as YAML; read, checked, and typed for the node.

A file is easier to get wrong than a command's options. So whatever is wrong with it is
said with the file's name, the member's, and what to write instead, before a node is
asked anything.
"""

import datetime
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, Final, NoReturn

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from ledger.conditions import ordered
from node.api.models import NewPlan
from node.cli.asking import key_of
from node.cli.output import Management
from node.domain.dataset import FieldType
from node.domain.predicates import FITTING, PredicateGrant
from node.domain.where import parse_where
from node.errors import BadRequest

_REQUIRED: Final = ("kind", "agreements", "purpose")
_MEMBERS: Final = (
    *(*_REQUIRED, "mode", "groups", "measure", "where", "cohort", "contribution"),
    *("epsilon", "k_min", "totals", "customers", "ours", "weights", "segments"),
)
_MODES: Final = {"heat-map": ("C", "R", "flip"), "intersection": ("count", "list")}
"""Of the kinds that have any; the first is meant where none is named."""
_TRANSLATED: Final = frozenset({"epsilon", "where", "customers", "segments"})
_MICRO: Final = 1_000_000
_EXTRA: Final = re.compile("Extra inputs are not permitted")


def read_draft(
    file: Path, rule: str, api: Management, agreements: Sequence[str] = ()
) -> dict[str, Any]:
    """Read a draft; return it as the node takes it.

    Args:
        rule: By which customers are normalised.
        api: Tells how agreements type the fields that conditions are on.
        agreements: Ids that take the place of those in the file, if there are any.

    Raises:
        BadRequest: Naming the file, the member and the mend.
        BadParameter: A customer does not fit the rule.
    """
    return _Reader(file, rule, api).draft(agreements)


class _Reader:
    def __init__(self, file: Path, rule: str, api: Management) -> None:
        self.file, self.rule, self.api = file, rule, api

    def draft(self, agreements: Sequence[str]) -> dict[str, Any]:
        given = _plain(self._yaml())
        if isinstance(given, dict) and agreements:
            given["agreements"] = list(agreements)
        self._check_members(given)
        draft = {name: each for name, each in given.items() if name not in _TRANSLATED}
        draft["mode"] = self._mode(given)
        draft["groups"] = _as_text(given.get("groups") or [], "values")
        if isinstance(measure := given.get("measure"), dict):
            (draft["measure"],) = _as_text([measure], "bound")
        if (epsilon := given.get("epsilon")) is not None:
            draft["epsilon_micro"] = self._micro(epsilon)
        if (customers := given.get("customers")) is not None:
            draft["customers"] = self._customers("customers", customers)
        if (segments := given.get("segments")) is not None:
            draft["segments"] = self._segments(segments)
        if where := given.get("where"):
            draft["filters"] = self._filters(where, given["agreements"])
        self._check_shape(draft)
        return draft

    def _yaml(self) -> Any:
        try:
            return YAML(typ="safe").load(self.file.read_text("utf-8"))
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
        except UnicodeDecodeError:
            why = "is not UTF-8"
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f", line {mark.line + 1}" if mark else ""
            why = f"is no YAML: {getattr(error, 'problem', None) or error}{where}"
        raise BadRequest("plan.unreadable", f"{self.file} {why}.")

    def _check_members(self, given: Any) -> None:
        if not isinstance(given, dict):
            self._refuse("a draft has members, as in kind: heat-map")
        for name in given:
            if name not in _MEMBERS:
                self._refuse(f"{name} is no member of a draft{_meant(name, _MEMBERS)}")
        for name in _REQUIRED:
            if not given.get(name):
                mend = ": name them with --agreement" if name == "agreements" else ""
                self._refuse(f"{name} is missing{mend}")
        if isinstance(given["agreements"], str):
            given["agreements"] = [given["agreements"]]

    def _check_shape(self, draft: Mapping[str, Any]) -> None:
        try:
            NewPlan.model_validate(draft)
        except ValidationError as error:
            wrong, *_ = error.errors(include_url=False, include_input=False)
            said = _EXTRA.sub("There is no such member", wrong["msg"])
            self._refuse(f"{_place(wrong['loc'])}: {said}")

    def _mode(self, given: Mapping[str, Any]) -> Any:
        kind, mode = given["kind"], given.get("mode")
        known = _MODES.get(kind, ()) if isinstance(kind, str) else ()
        if mode is None or (mode == "" and not known):
            return next(iter(known), "")
        if mode not in known:
            told = f"mode is one of {', '.join(known)} in a {kind}"
            self._refuse(told if known else f"a {kind} has no mode: leave it out")
        return mode

    def _micro(self, given: Any) -> int:
        try:
            micro = Decimal(str(given)) * _MICRO
        except InvalidOperation:
            micro = Decimal("NaN")
        if not micro.is_finite() or micro < 0 or micro != micro.to_integral_value():
            self._refuse("epsilon is a number with at most six decimals, as in 0.5")
        return int(micro)

    def _filters(self, where: Any, agreements: Any) -> list[dict[str, Any]]:
        if isinstance(where, str):
            where = [where]
        if not _is_list(where) or not all(isinstance(each, str) for each in where):
            self._refuse("where is a list of conditions, as in - region = North")
        grants = _grants(self.api, agreements if _is_list(agreements) else [])
        try:
            found = ordered(parse_where(text, grants) for text in where)
        except BadRequest as error:
            raise BadRequest(error.code, f"{self.file}: {error.detail}") from error
        return [condition.to_json() for condition in found]

    def _segments(self, given: Any) -> dict[str, list[str]]:
        if not isinstance(given, dict):
            self._refuse("segments are customers by label, as in large: [C-1, C-2]")
        return {
            label: self._customers(f"segments.{label}", each)
            for label, each in given.items()
        }

    def _customers(self, member: str, given: Any) -> list[str]:
        """Return normalised keys: of a list, or of a file with one on each line."""
        if isinstance(given, str):
            file = self.file.parent / given
            try:
                given = file.read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError):
                self._refuse(f"{member}: {file} is no list with a customer on a line")
        if not _is_list(given) or any(isinstance(each, list | dict) for each in given):
            self._refuse(f"{member} is a list, or a file with a customer on each line")
        named = (str(each) for each in given if each is not None)
        return [key_of(self.rule, each) for each in named if each.strip()]

    def _refuse(self, why: str) -> NoReturn:
        raise BadRequest("plan.draft", f"{self.file}: {why}.")


def _plain(value: Any) -> Any:
    """Return what YAML reads, with days as text and names as text."""
    if isinstance(value, Mapping):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, datetime.date) else value


def _as_text(given: Any, name: str) -> Any:
    """Return objects with a member's scalars as text: labels and amounts are."""
    if not _is_list(given):
        return given
    return [
        {**each, name: _text(each[name])}
        if isinstance(each, dict) and each.get(name) is not None
        else each
        for each in given
    ]


def _text(value: Any) -> Any:
    if isinstance(value, list):
        return [_text(each) for each in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int | float) else value


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _meant(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f": write {near[0]}" if near else ""


def _place(path: Sequence[int | str]) -> str:
    """Return where something stands, as `groups[1].grain`."""
    said = "".join(f"[{it}]" if isinstance(it, int) else f".{it}" for it in path)
    return said.removeprefix(".").replace("epsilon_micro", "epsilon, in millionths")


def _grants(api: Management, agreements: Sequence[str]) -> list[PredicateGrant]:
    """Return how the agreements type their fields, as conditions are read by."""
    found = {}
    for item in api.get("/audit/agreements")["items"]:
        for each in item["aggregates"] if item["id"] in agreements else ():
            kind = FieldType(each["type"])
            found[each["field"]] = PredicateGrant(
                field=each["field"],
                type=kind,
                unit=each["unit"],
                scale=each["scale"],
                operators=tuple(sorted(FITTING[kind])),
                probes=1,
            )
    return [*found.values()]
