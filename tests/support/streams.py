"""The search for a first difference, where both sides can be asked at once."""

from collections.abc import Callable, Sequence

from ledger.streams import Place, differing


def first_difference(
    ours: Place,
    theirs: Place,
    known: Sequence[int],
    id_at: Callable[[int], str],
    their_id_at: Callable[[int], str | None],
) -> int | None:
    """Search as `differing` does, where both sides can be asked at once.

    Args:
        id_at: Id of our receipt of a number in `known`.
        their_id_at: Id of the other side's, or None where it does not tell. It is
            not asked for the newest, which its head tells.
    """
    search = differing(ours, theirs, known)
    try:
        asked = next(search)
        while True:
            newest = asked == theirs.count - 1
            told = theirs.head if newest else their_id_at(asked)
            asked = search.send(told in (None, id_at(asked)))
    except StopIteration as end:
        found: int | None = end.value
        return found
