"""Plants faults in the contracts, one at a time, and tells which the tests catch.

    python -m tests.unit.chain.mutants [Anchors | Participants] [--only WORDS]

A fault is one small change of one line of the source: a check left out, a comparison
turned round, a number off by one, somebody else's address, a row that is not written, or is twice.
Each that the compiler takes is run against the state machine of its contract, and is
caught when the machine fails. Faults that are not caught are printed with their line,
and the command ends with 1.

What is not planted: changes that make no difference, as to a view decorator or to the
order of two assignments, and what the artefact's comparison catches by itself, since
it catches everything.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator
from typing import Final, NamedTuple

import boa  # type: ignore[import-untyped]
from hypothesis import HealthCheck, Phase, Verbosity, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.unit.chain.machines import AnchorsMachine, Machine
from tests.unit.chain.participants_machine import ParticipantsMachine
from tests.unit.chain.sandbox import CompileFailed, compiled

MACHINES: Final[dict[str, type[Machine]]] = {
    "Anchors": AnchorsMachine,
    "Participants": ParticipantsMachine,
}

SWAPS: Final = [
    (r" == ", " != "),
    (r" != ", " == "),
    (r" >= ", " > "),
    (r" >= ", " < "),
    (r" > ", " >= "),
    (r" > ", " < "),
    (r" < ", " <= "),
    (r" < ", " >= "),
    (r" \+= ", " -= "),
    (r" -= ", " += "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" \* ", " + "),
    (r" and ", " or "),
    (r" or ", " and "),
    (r"\bnot ", ""),
    (r"\bTrue\b", "False"),
    (r"\bif in_favour\b", "if not in_favour"),
    (r"\bmsg\.sender\b", "tx.origin"),
    (r"\bmsg\.sender\b", "self"),
    (r"\bsender\b", "tx.origin"),
    (r"\bblock\.timestamp\b", "block.number"),
    (r"\bsha256\b", "keccak256"),
    (r"\bempty\(address\)", "self"),
    (r"\bOPERATOR\b", "msg.sender"),
    (r"\bbefore\b", "account"),
    (r"\baccount\b", "before"),
    (r"\baccount\b", "msg.sender"),
    (r"\baccount\b", "empty(address)"),
    (r"\bepoch\b", "last"),
    (r"\blast\b", "epoch"),
    (r"\bcommitment\b", "previous"),
    (r"\bprevious\b", "commitment"),
    (r"\bsuite\b", "fingerprint"),
    (r"\bsuite\b", "did"),
    (r"\bfingerprint\b", "suite"),
    (r"\bdid\b", "suite"),
    (r"\bname\b", "empty(bytes32)"),
    (r"\bsubject\b", "held"),
    (r"\bheld\b", "subject"),
    (r"\bself\.round\b", "0"),
    (r"\bindexed\((\w+)\)", r"\1"),
]
"""What is looked for, and what is put in its place."""

NUMBER: Final = re.compile(r"(?<![\w.])\d+\b(?!\))|(?<=\[)\d+(?=\])|(?<=\()\d+(?=\)$)")
STATEMENT: Final = re.compile(
    r"^(assert |log |self\.\w|rows\.append|break|return |if )"
)
WORDS: Final = re.compile(r'"[^"]*"')


class Mutant(NamedTuple):
    """A planted fault."""

    contract: str
    line: int
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        after = " ".join(self.after.split())
        return f"{self.contract}.vy:{self.line}: {self.before}  ->  {after}"


def mutants(contract: str) -> list[Mutant]:
    """Return every fault there is to plant in a contract; some will not compile."""
    lines = MACHINES[contract].source.splitlines()
    found: dict[str, Mutant] = {}
    for at, line in _code(lines):
        for changed in _changes(line):
            source = "\n".join([*lines[:at], changed, *lines[at + 1 :], ""])
            mutant = Mutant(contract, at + 1, line.strip(), changed.strip(), source)
            found.setdefault(source, mutant)
    return list(found.values())


def _code(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Give the lines that do something: no documentation, no declared state."""
    inside = False
    for at, line in enumerate(lines):
        quotes = line.count('"""')
        if quotes or inside:
            inside ^= quotes % 2 == 1
            continue
        code = line.partition("#")[0].rstrip()
        if code and not re.match(r"@|struct |event |def |\w+: public\(Hash", code):
            yield at, code


def _changes(line: str) -> Iterator[str]:
    indent = line[: len(line) - len(line.lstrip())]
    statement = line.strip()
    if STATEMENT.match(statement) and not statement.startswith(("if ", "return ")):
        yield indent + "pass"
    if re.match(r"log |self\._\w+\(|rows\.append|.* [+-]= ", statement):
        yield f"{line}\n{line}"
    if statement.startswith("if "):
        yield f"{indent}if not ({statement[3:-1]}):"
        yield indent + "if True:"
    declared = re.match(r"\s*\w+: [^=]+$", line)
    for pattern, instead in SWAPS[-1:] if declared else SWAPS:
        for hit in re.finditer(pattern, line):
            if not _is_quoted(line, hit.start()):
                yield line[: hit.start()] + hit.expand(instead) + line[hit.end() :]
    for hit in NUMBER.finditer(line):
        if not _is_quoted(line, hit.start()):
            for other in (int(hit[0]) + 1, int(hit[0]) - 1):
                yield f"{line[: hit.start()]}{other}{line[hit.end() :]}"


def _is_quoted(line: str, at: int) -> bool:
    return any(hit.start() <= at < hit.end() for hit in WORDS.finditer(line))


def compiles(mutant: Mutant) -> bool:
    """Say whether the compiler takes a fault, and makes other code of it."""
    try:
        return compiled(mutant.source) != compiled(MACHINES[mutant.contract].source)
    except CompileFailed:
        return False


def caught(mutant: Mutant, *, examples: int = 20, seeds: int = 8) -> str | None:
    """Run a fault's contract; return how it was caught, or None.

    Args:
        mutant: The fault.
        examples: How often the machine is run with each seed.
        seeds: How many seeds are tried.
    """
    quick = settings(
        max_examples=examples,
        stateful_step_count=30,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        verbosity=Verbosity.quiet,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
    )
    for number in range(seeds):
        body = {"source": mutant.source}
        machine = type(mutant.contract, (MACHINES[mutant.contract],), body)
        try:
            with boa.env.anchor():
                run_state_machine_as_test(seed(number)(machine), settings=quick)
        except Exception as failure:  # noqa: BLE001 - any failure is a catch
            return str(failure).strip().partition("\n")[0] or type(failure).__name__
    return None


def main(arguments: list[str]) -> int:
    """Plant them all, and print what became of each."""
    parser = argparse.ArgumentParser(prog="python -m tests.unit.chain.mutants")
    parser.add_argument("contract", nargs="*", choices=[*MACHINES, []])
    parser.add_argument("--only", default="", help="faults that hold these words")
    given = parser.parse_args(arguments)
    missed = 0
    for contract in given.contract or MACHINES:
        began = time.monotonic()
        wanted = [each for each in mutants(contract) if given.only in str(each)]
        told = {each: _tell(each) for each in wanted if compiles(each)}
        planted = list(told)
        alive = [each for each in planted if told[each] is None]
        missed += len(alive)
        _say(
            f"{contract}: {len(wanted)} faults, {len(planted)} that compile,"
            f" {len(planted) - len(alive)} caught, {len(alive)} missed,"
            f" {time.monotonic() - began:.0f} s"
        )
    return 1 if missed else 0


def _tell(mutant: Mutant) -> str | None:
    how = caught(mutant)
    _say(f"{'caught' if how else 'MISSED'}  {mutant}")
    return how


def _say(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
