"""Check suites: what this node is set to sign with fits what it has and offers.

A log is hashed with one function from its first entry to its last, and with which one
follows from the suite of its participant. So a node whose settings name another suite
than its log was begun with does not start: what it would write is another log.
"""

from crypto.errors import CryptoError
from crypto.notes import open_checkpoint
from ledger.checkpoint import origin_of
from ledger.participants import Participant
from node.errors import BadRequest, Unavailable
from node.ports import UnitOfWork


def check_suites(me: Participant, view: UnitOfWork, *, gm_only: bool) -> None:
    """Check the store against what is pinned and set.

    Args:
        me: This node, as pinned.
        view: The node's store.
        gm_only: Whether nothing may be offered that rests on BBS.

    Raises:
        Unavailable: The log was signed with a key that the registry does not list,
            of now or before.
        BadRequest: Datasets are published, and must not be.
    """
    newest = view.log.checkpoint()
    if newest is not None:
        try:
            open_checkpoint(newest.note, origin=origin_of(me.did), keys=me.verifiers)
        except CryptoError as error:
            detail = (
                "The registry lists no key under which this node's log is signed, of"
                " now or before. A log keeps the suite that it was begun with."
            )
            raise Unavailable("log.suite", detail) from error
    if gm_only and view.datasets.all():
        raise no_bbs()


def no_bbs() -> BadRequest:
    """Return what refuses a dataset where nothing may rest on BBS."""
    detail = (
        "This company offers no datasets (gm_only): records are signed with BBS, on a"
        " curve that is not among China's standards."
    )
    return BadRequest("suite.no_bbs", detail)
