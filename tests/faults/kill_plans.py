"""Power cuts while plans are carried out: charged once, drawn once, gone on with.

    python -m tests.faults.kill_plans [--rounds 100] [--minutes 60]
        [--store sqlite|postgres]

A maker and an asker are real processes, one each on SQLite, two each on PostgreSQL.
Round after round plans of all kinds are asked for, some are cancelled, and one process,
or one of each company, is killed (SIGKILL) at a random moment of the work, or of its
start. After each round the maker's store is looked at as it was left (`plans.Ledger`).
At the end every job has ended; results are right, both logs are whole and anchored.
"""

import argparse
import contextlib
import secrets
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import sqlalchemy as sa

from examples.desk import Refused
from node import keeping
from node.adapters.sql.store import engine_for
from node.config import load
from tests.faults.left import at_rest
from tests.faults.plans import (
    DRAFTS,
    SETTINGS,
    Ledger,
    agreed,
    check_result,
    draft,
    jobs,
)
from tests.support.postgres import durable
from tests.support.several import Place, Several, several

_AT_ONCE = 3
_COMPANIES = ("maker", "asker")
_RETRIED = {"partner.unavailable", "partner.no_receipt", "aggregate.unavailable"}
"""Codes of a job that found its partner away four times, twenty seconds long."""


@dataclass
class Report:
    """What came of some rounds."""

    rounds: int
    took_s: float
    ended: Counter[str] = field(default_factory=Counter)
    plans: int = 0
    receipts: int = 0
    spent: int = 0

    def __str__(self) -> str:
        ended = ", ".join(f"{count:,} {state}" for state, count in self.ended.items())
        return (
            f"{self.rounds} rounds in {self.took_s:.0f} s: {self.plans:,} plans charged,"
            f" jobs {ended}; {self.receipts:,} receipts, {self.spent / 1e6:,.0f} epsilon;"
            " nothing charged twice, nothing drawn twice, nothing told for free"
        )


@dataclass
class Cuts:
    """Companies whose processes are killed while they work."""

    made: Several
    agreement: str
    say: bool = False
    ledger: Ledger = field(default_factory=Ledger)
    kinds: dict[str, str] = field(default_factory=dict)

    def run(self, rounds: int, minutes: float = 1e9) -> Report:
        """Go through some rounds, or as many as there is time for."""
        began = time.monotonic()
        for number in range(rounds):
            if time.monotonic() > began + 60 * minutes:
                return self._ended(number, time.monotonic() - began)
            self._begin()
            time.sleep(secrets.randbelow(2500) / 1000)
            victims = self._victims()
            for victim in victims:
                self.made.kill(*victim)
            self._look({key for key, _ in victims})
            for victim in victims:
                self.made.start(*victim)
            if number % 8 == 7:  # now and then, the power goes while it starts
                time.sleep(secrets.randbelow(4000) / 1000)
                self.made.kill(*victims[0])
                self._look({victims[0][0]})
                self.made.start(*victims[0])
            for victim in victims:
                self.made.await_ready(*victim)
            if self.say:
                tell(f"round {number + 1}: {len(self.ledger.plans)} plans charged")
        return self._ended(rounds, time.monotonic() - began)

    def _victims(self) -> list[tuple[str, int]]:
        """Choose a process to kill, or one of each company."""
        chosen = (
            _COMPANIES if not secrets.randbelow(4) else [secrets.choice(_COMPANIES)]
        )
        return [(key, secrets.randbelow(len(self.made.ports[key]))) for key in chosen]

    def _begin(self) -> None:
        """Ask for some plans; cancel one now and then. Either may be cut off."""
        for _ in range(_AT_ONCE):
            kind = secrets.choice([*DRAFTS])
            with contextlib.suppress(httpx.HTTPError):
                begun = self.made.desk("asker").post(
                    "/management/aggregates", draft(kind, self.agreement)
                )
                self.kinds[begun["job"]] = kind
        if not secrets.randbelow(5):
            with contextlib.suppress(httpx.HTTPError, Refused):
                job = secrets.choice([*self.kinds])
                self.made.desk("asker").post(f"/management/jobs/{job}/cancel", {})

    def _look(self, down: set[str]) -> None:
        url = self._url("maker")
        if "maker" in down:
            with at_rest(url) as engine:
                self.ledger.look(engine)
        else:
            with self._open("maker") as engine:
                self.ledger.look(engine)

    def _url(self, key: str) -> str:
        return load(self.made.folder(key) / "node.yaml").database

    @contextlib.contextmanager
    def _open(self, key: str) -> Iterator[sa.Engine]:
        engine = engine_for(self._url(key))
        try:
            yield engine
        finally:
            engine.dispose()

    # --- in the end

    def _ended(self, rounds: int, took_s: float) -> Report:
        """Wait for every job, and check what must be true then."""
        with self._open("asker") as engine:
            self._wait(lambda: all(job.state != "running" for job in jobs(engine)))
            ended = jobs(engine)
        for job in ended:
            self._check_job(job)
        for key in _COMPANIES:
            self._wait(partial(self._anchored, key))
            self._check_log(key)
        with self._open("maker") as engine:
            self.ledger.look(engine)
        self._check_charges(ended)
        return Report(
            rounds=rounds,
            took_s=took_s,
            ended=Counter(job.state for job in ended),
            plans=len(self.ledger.plans),
            receipts=self.ledger.receipts,
            spent=sum(sum(each) for each in self.ledger.spent.values()),
        )

    def _wait(self, ready: Callable[[], bool]) -> None:
        until = time.monotonic() + 240
        while not ready():
            assert time.monotonic() < until, "it took too long"
            time.sleep(0.3)

    def _anchored(self, key: str) -> bool:
        told = self.made.desk(key).get("/audit/summary")["receipts"]
        return bool(told["total"] == told["integrated"] == told["anchored"])

    def _check_job(self, job: Any) -> None:
        found = self.made.desk("asker").get(f"/management/jobs/{job.id}")
        if found["state"] == "failed":
            code = found["error"]["code"]
            # Who was not told of a job may have been cut off before it was whole.
            begun = job.id in self.kinds or code != "job.unreadable"
            assert code in _RETRIED or not begun, found["error"]
        elif found["state"] == "done" and job.id in self.kinds:
            check_result(self.kinds[job.id], found["result"])

    def _check_log(self, key: str) -> None:
        settings = load(self.made.folder(key) / "node.yaml")
        with keeping.checking(settings, ask_chain=True, progress=lambda *_: None) as (
            _,
            found,
        ):
            wrong = list(found)
            assert wrong == [], (key, wrong)

    def _check_charges(self, ended: list[Any]) -> None:
        """Every plan that is done was charged; what is charged was asked."""
        known = {job.plan: job for job in ended}
        assert self.ledger.plans.keys() <= known.keys()
        for plan, job in known.items():
            if job.state == "done":
                row = self.ledger.plans[plan]
                assert (row.committed, row.told) == (
                    True,
                    True,
                ) or not row.epsilon_micro


def tell(words: str) -> None:
    sys.stdout.write(words + "\n")
    sys.stdout.flush()


@contextlib.contextmanager
def cuts(folder: Path, databases: list[str] | None = None) -> Iterator[Cuts]:
    """Run the companies, on SQLite or, two processes each, on PostgreSQL."""
    places = {key: Place() for key in _COMPANIES}
    if databases:
        pairs = zip(_COMPANIES, databases, strict=True)
        places = {key: Place(processes=2, database=url) for key, url in pairs}
    with several(folder, places, chain=True, settings=SETTINGS) as made:
        yield Cuts(made, agreed(made))


@contextlib.contextmanager
def _stores(store: str) -> Iterator[list[str] | None]:
    if store == "sqlite":
        yield None
        return
    with durable() as server:
        yield [server.database(key) for key in _COMPANIES]


def main() -> int:
    """Run the rounds that were asked for, and tell what came of them."""
    parser = argparse.ArgumentParser(prog="tests.faults.kill_plans")
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--store", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--minutes", type=float, default=1e9)
    chosen = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as folder,
        _stores(chosen.store) as databases,
        cuts(Path(folder), databases) as made,
    ):
        made.say = True
        tell(str(made.run(chosen.rounds, chosen.minutes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
