"""A process that spends from a store, and may be killed while it does.

    python -m tests.contract.spender URL NAME many TIMES COST
    python -m tests.contract.spender URL PLAN hold COST
    python -m tests.contract.spender URL PLAN begin COST

`many` reserves for plans of its own, as fast as it can, and prints how many were let
through. `hold` reserves for one plan, says so and waits to be killed; `begin` does the
same within a transaction that it never ends.
"""

import asyncio
import sys
import threading

from node.adapters.sql.store import SqlStore, SqlUnitOfWork, engine_for
from node.ports.aggregates import Account, Spending
from tests.contract.samples import NOW

CAP, OWN_CAP = 500, 450
ACCOUNTS = (
    Account(name="dataset:projects", period="2026-01-01", cap=CAP, spent=0),
    Account(name="agreement:a", period="2026-10-01", cap=OWN_CAP, spent=0),
)


def spending(
    plan: str, cost: int, *, query: str = "q", agreement: str = "a", core: str = "{}"
) -> Spending:
    return Spending(
        plan=plan,
        query=query,
        agreement=agreement,
        dataset="projects",
        core=core,
        epsilon_micro=cost,
        committed=False,
    )


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


async def main(url: str, plan: str, what: str, *numbers: str) -> None:
    store = SqlStore(engine_for(url))

    def act(work: SqlUnitOfWork) -> bool:
        taken = work.budgets.reserve(spending(plan, int(numbers[-1])), ACCOUNTS, NOW)
        if what == "begin":
            say(taken)
            threading.Event().wait()
        return taken

    if what == "many":
        say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        say(await many(store, plan, *map(int, numbers)))
        store.close()
        return
    say(await store.write(act))
    await asyncio.Event().wait()


async def many(store: SqlStore, name: str, times: int, cost: int) -> int:
    """Return for how many of some plans it was reserved."""
    taken = await asyncio.gather(
        *(
            store.write(
                lambda work, n=number: work.budgets.reserve(  # type: ignore[misc]
                    spending(f"{name}{n}", cost), ACCOUNTS, NOW
                )
            )
            for number in range(times)
        )
    )
    return sum(taken)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
