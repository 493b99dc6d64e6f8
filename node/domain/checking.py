"""Reading plain data strictly, and saying everything that is wrong with it.

Data that people write (a declaration, a settings file, the body of a management
call) is read part by part. A `Part` is one mapping of it: it knows its place,
hands out members of the type that is asked for, and notes what does not fit. The
reader goes on after a mistake with a stand-in, so that one reading finds every
mistake; whoever started it refuses the whole when any was noted.

A note names the place, what is wrong and the mend. It repeats names that the
writer chose from a known set, and no other value: those may be secret.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, TypeVar

from node.errors import BadRequest

Path = tuple[str, ...]
Where = Callable[[Path, bool], tuple[int, int] | None]
"""Returns line and column, from 1, of the value at a path (True: of its key), or
of what is nearest above it."""

_LONGEST: Final = 10_000
_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One mistake.

    Attributes:
        path: Place in the data, as in `fields.annual_spend.unit`.
        message: What is wrong.
        mend: What to write instead.
        line: Line, from 1, where the reader knows it.
        column: Column, from 1, likewise.
    """

    path: str
    message: str
    mend: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        parts = [] if self.line is None else [f"{self.line}:{self.column}"]
        parts += [self.path] if self.path else []
        return ": ".join((*parts, f"{self.message}; {self.mend}"))


class InvalidDeclaration(BadRequest):
    """A declaration with mistakes: all of them, in the order of the text.

    Args:
        problems: What is wrong, where, and the mend.
        name: File name to put before each line, or empty.
    """

    def __init__(self, problems: Iterable[Problem], name: str = "") -> None:
        self.problems = tuple(sorted(problems, key=lambda each: each.line or 0))
        lines = (f"{name}:{each}" if name else str(each) for each in self.problems)
        members = [asdict(each) for each in self.problems]
        detail = "\n".join(lines)
        super().__init__("declaration.invalid", detail, extra={"problems": members})


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return the mend for a word that is not one of the known ones."""
    allowed = list(known)
    near = difflib.get_close_matches(word.casefold(), allowed, n=1)
    hint = f"did you mean `{near[0]}`? " if near else ""
    return f"{hint}allowed: {', '.join(allowed)}"


class Part:
    """One mapping of the data, at its place.

    Args:
        value: The data; a stand-in is used when it is no mapping.
        required: Keys that must be there, separated by spaces.
        optional: Keys that may be there; with None, any key may.
        path: Place of the mapping.
        where: Finds lines.
        problems: Where to note mistakes; shared with the parts below.
    """

    def __init__(
        self,
        value: object,
        required: str = "",
        optional: str | None = "",
        *,
        path: Path = (),
        where: Where,
        problems: list[Problem],
    ) -> None:
        self.path, self._where, self.problems = path, where, problems
        self.data: dict[str, Any] = {}
        if not isinstance(value, Mapping):
            self.note(None, "is not a mapping", "write `key: value` lines")
            return
        self.data = {str(key): each for key, each in value.items() if each is not None}
        for key in (str(key) for key, each in value.items() if each is None):
            self.note(key, "is empty", "fill it in, or leave it out", at_key=True)
        for key in required.split():
            if key not in value:
                self.note(key, "is missing", f"add `{key}: …`")
        if optional is not None:
            known = [*required.split(), *optional.split()]
            for key in (key for key in self.data if key not in known):
                mend = did_you_mean(key, known)
                self.note(key, "is not known here", mend, at_key=True)

    def note(
        self, key: str | None, message: str, mend: str, *, at_key: bool = False
    ) -> None:
        """Note a mistake of a member, or of the part itself."""
        path = self.path if key is None else (*self.path, key)
        line, column = self._where(path, at_key) or (None, None)
        self.problems.append(
            Problem(
                path=".".join(path),
                message=message,
                mend=mend,
                line=line,
                column=column,
            )
        )

    def part(self, key: str, required: str = "", optional: str | None = "") -> "Part":
        """Return a mapping below this one; an empty one when it is missing."""
        there = key in self.data
        return Part(
            self.data.get(key, {}),
            required if there else "",
            optional,
            path=(*self.path, key),
            where=self._where,
            problems=self.problems,
        )

    def text(
        self, key: str, pattern: str | None = None, form: str = "some text"
    ) -> str:
        """Return text; empty when it is missing or wrong.

        Args:
            key: Its key.
            pattern: What it must match as a whole.
            form: The same in words, for the mend.
        """
        value = self.data.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            self.note(key, "is not text", f"write {form}, in quotes")
            return ""
        sane = value.strip() and "\x00" not in value and len(value) <= _LONGEST
        if not sane or (pattern and not re.fullmatch(pattern, value)):
            self.note(key, "has the wrong form", f"write {form}")
            return ""
        return str(value)

    def choice(self, key: str, kind: type[_Choice]) -> _Choice | None:
        """Return a member of an enumeration; None when it is missing or wrong."""
        found = self._members(key, [self.data[key]] if key in self.data else [], kind)
        return found[0] if found else None

    def choices(self, key: str, kind: type[_Choice]) -> frozenset[_Choice]:
        """Return a list's members of an enumeration; what is wrong is left out."""
        return frozenset(self._members(key, self.list(key), kind))

    def _members(
        self, key: str, names: list[Any], kind: type[_Choice]
    ) -> list[_Choice]:
        known = {str(each): each for each in kind}
        for name in names:
            if not isinstance(name, str) or name not in known:
                said = f"`{name}` is" if isinstance(name, str) else "is"
                self.note(key, f"{said} not allowed", did_you_mean(str(name), known))
        return [
            known[each] for each in names if isinstance(each, str) and each in known
        ]

    def list(self, key: str) -> list[Any]:
        """Return a list; empty when it is missing or wrong."""
        value = self.data.get(key, [])
        if not isinstance(value, list) or (key in self.data and not value):
            self.note(key, "is not a list of values", "write `[first, second]`")
            return []
        return list(value)

    def flag(self, key: str) -> bool:
        """Return a truth value; False when it is missing or wrong."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            self.note(key, "is not a truth value", "write true or false")
        return value is True

    def number(self, key: str, default: float, *, above: float, most: float) -> float:
        """Return a number with `above` < number <= `most`."""
        value = self.data.get(key, default)
        sound = isinstance(value, int | float) and not isinstance(value, bool)
        if not sound or not above < value <= most:
            form = f"a number above {above:g} and up to {most:g}"
            self.note(key, "is not in range", f"write {form}")
            return default
        return float(value)

    def one_of(self, *keys: str, needed: bool = True) -> str | None:
        """Return which of these keys is there; at most one may be."""
        there = [key for key in keys if key in self.data]
        if len(there) > 1 or (needed and not there):
            message = f"{' and '.join(f'`{key}`' for key in there) or 'nothing'} given"
            self.note(None, message, f"give one of {', '.join(keys)}")
        return there[0] if there else None
