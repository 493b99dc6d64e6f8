"""From the first process to the last line."""

import time
from typing import Final

import httpx

from examples.demo import books, proofs
from examples.demo.calls import Unexpected
from examples.demo.consortium import Consortium
from examples.demo.counted import Counted
from examples.demo.narration import Teller
from examples.demo.story import Story
from examples.desk import Refused

FAULTS: Final = (Unexpected, Refused, httpx.HTTPError)
"""What ends the story: an answer that is wrong, none, or a node that says no."""


def run(world: Consortium, tell: Teller, *, began: float) -> int:
    """Play the story and check all of it; return how many values were let out.

    Args:
        began: When the demo was started (`time.monotonic`).

    Raises:
        FAULTS: Something did not go as it must.
        NotStarted: A process did not come up.
    """
    tell.plain("Fieldpact: three companies, one chain, and what each may know.")
    tell.plain("All data are synthetic. The names, codes and numbers are nobody's.")
    story = Story(world, tell)
    story.open()
    tell.more(f"{time.monotonic() - began:.1f} s after the start")
    story.ask()
    story.prove()
    Counted(world, story.calls, tell).play()
    story.attack()
    story.wear_out()
    story.turn_round()
    story.outlive()
    books.compare(world, tell)
    return _check(world, story, tell)


def _check(world: Consortium, story: Story, tell: Teller) -> int:
    calls = story.calls
    tell.chapter("Is it so?")
    tell.step("Each node anchors its log on the chain, in its own time.")
    with tell.waiting("waiting for the next anchors"):
        proofs.wait_anchored(world, calls)
    tell.good(f"{len(calls.made)} calls, {len(calls.made)} receipts, all anchored")
    books.show_witnesses(story.maker, tell)
    tell.step("The askers check all the evidence, and ask the chain themselves.")
    with tell.waiting("checking"):
        checked = [proofs.verify(world, call) for call in calls.made]
    tell.good(f"{sum(map(len, checked))} checks of {len(checked)} receipts hold")
    first, *_ = proofs.anchored_since(checked)
    tell.good("the commitments behind the answers are anchored", f"since {first}")
    tell.step("The compliance officers look at their dashboards.")
    with tell.waiting("waiting for the dashboards"):
        world.await_dashboards()
        proofs.look_at_dashboards(world, calls)
    tell.good(
        f"each shows every call to its company; {len(calls.plans)} plans on both sides"
    )
    tell.step("Every byte between the companies is searched for their CRMs' values.")
    with tell.waiting("searching"):
        count = proofs.unauthorised_values(world, calls)
    (tell.bad if count else tell.good)(f"{count} unauthorised values")
    tell.plain("")
    tell.plain(
        f"demo: {len(calls.made)} calls, {len(checked)} receipts anchored and "
        f"verified, {count} unauthorised values disclosed"
    )
    return count


def stay(world: Consortium, tell: Teller) -> None:
    """Say where to look, and keep everything up until interrupted.

    Raises:
        NotStarted: A process ended by itself.
    """
    tell.chapter("Look for yourself")
    tell.plain("Each company's dashboard opens with its access key.")
    for each in world.members:
        tell.plain(f"\n    {each.name}")
        tell.plain(f"    {each.dashboard.url}  {each.dashboard.access_key}")
    folder = world.federation.folder
    tell.plain(f"\nSettings, keys and logs are in {folder}. Ctrl-C stops it all.")
    while True:
        time.sleep(1)
        world.federation.supervisor.check_all()
