"""Declarations as YAML files, read so that every message can name its line.

YAML 1.2 through ruamel.yaml, whose parsed mappings remember where each key and
value stood. What the text means is checked in `node.domain.declaration`, as for
JSON; this module adds the lines. Relative paths start from the file's folder.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from node.domain.checking import InvalidDeclaration, Problem, Where
from node.domain.dataset import Dataset
from node.domain.declaration import dataset_from_json

_LARGEST: Final = 1 << 20


def load_declaration(file: Path) -> Dataset:
    """Read a declaration from a YAML file of up to 1 MiB.

    Raises:
        InvalidDeclaration: The file cannot be read, is not YAML, or declares
            something wrong; each line names file, line, column and mend.
    """
    text = _read(file)
    return parse_declaration(text, name=str(file), base=file.resolve().parent)


def parse_declaration(text: str, *, name: str, base: Path | None = None) -> Dataset:
    """Read a declaration from YAML text.

    Args:
        text: The YAML document.
        name: File name, for the messages.
        base: Folder that relative paths start from; without it they are refused.

    Raises:
        InvalidDeclaration: As for `load_declaration`.
    """
    document = _document(text, name)
    return dataset_from_json(document, where=_finder(document), base=base, name=name)


def located(error: InvalidDeclaration, file: Path) -> InvalidDeclaration:
    """Return mistakes that the source brought to light, with the file's lines.

    Args:
        error: What `check_columns` found.
        file: The declaration, as it was loaded.
    """
    where = _finder(_document(_read(file), str(file)))
    problems = []
    for each in error.problems:
        line, column = where(tuple(each.path.split(".")), False) or (None, None)
        problems.append(replace(each, line=line, column=column))
    return InvalidDeclaration(problems, str(file))


def _read(file: Path) -> str:
    try:
        with file.open("rb") as stream:
            content = stream.read(_LARGEST + 1)
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        problem = _problem("cannot be read", "name a file in UTF-8 that you may read")
        raise InvalidDeclaration([problem], str(file)) from error
    if len(content) > _LARGEST:
        problem = _problem("is larger than 1 MiB", "declare one dataset in a file")
        raise InvalidDeclaration([problem], str(file))
    return text


def _document(text: str, name: str) -> object:
    try:
        return YAML(typ="rt").load(text)
    except DuplicateKeyError as error:
        problem = _problem("has a key twice", "keep one of the two", error)
    except MarkedYAMLError as error:
        message = f"is not YAML: {error.problem}"
        problem = _problem(message, "see the lines before it, too", error)
    except YAMLError:
        problem = _problem("is not YAML", "remove characters that cannot be printed")
    raise InvalidDeclaration([problem], name)


def _finder(document: object) -> Where:
    return lambda path, at_key: _position(document, path, at_key=at_key)


def _problem(message: str, mend: str, error: MarkedYAMLError | None = None) -> Problem:
    mark = error.problem_mark if error else None
    return Problem(
        path="",
        message=message,
        mend=mend,
        line=mark.line + 1 if mark else None,
        column=mark.column + 1 if mark else None,
    )


def _position(
    document: object, path: tuple[str, ...], *, at_key: bool
) -> tuple[int, int] | None:
    """Return where the last step of the path stands that the document has."""
    found, here = (1, 1), document
    for step in path:
        if not isinstance(here, CommentedMap) or step not in here:
            break
        # Keys that a merge (`<<`) brought in stand elsewhere and have no position.
        if (mark := here.lc.data.get(step)) is None:
            break
        line, column = mark[:2] if at_key or _is_block(here[step]) else mark[2:]
        found, here = (line + 1, column + 1), here[step]
    return found


def _is_block(value: object) -> bool:
    """Tell whether a value starts on lines of its own, away from its key."""
    return isinstance(value, Mapping | list)
