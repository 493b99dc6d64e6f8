"""Erase: take away what receipts say, once they need not be kept any more.

The tree holds salted commitments. When the salt is gone, what a leaf was about
can never be shown again, and nobody can test a guess against it; streams and log
verify as before. Nothing is erased that is younger than the time for which the
company keeps receipts, nor while the log itself is in question.

An archive takes content out of the store and can put it back (`node.archive`).
"""

import datetime
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from node.domain.agreement import render_instant
from node.errors import Conflict, NotFound
from node.ports import Clock, Content, Erasable, Store, UnitOfWork

_BATCH: Final = 500
EXPIRED: Final = "older than it has to be kept"


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """Erases receipts that this node wrote or received, and puts archived ones back.

    Attributes:
        retention: Receipts that are younger stay.
    """

    store: Store
    clock: Clock
    retention: datetime.timedelta

    async def __call__(self, receipt_id: str, why: str) -> Mapping[str, Any]:
        """Erase what one receipt says. One that is erased already stays as it is.

        Args:
            receipt_id: 64 hex digits.
            why: For whoever looks for it later.

        Raises:
            NotFound: This node holds no such receipt.
            Conflict: It is too young, or not in the log's tree yet, or the log is in
                question: an alarm about it is open.
        """

        def _erase(work: UnitOfWork) -> Mapping[str, Any]:
            self._check_calm(work)
            found = work.erasure.look(receipt_id)
            if found is None:
                detail = "This node holds no such receipt."
                raise NotFound("receipt.unknown", detail)
            if found.erased is None:
                self._check_old(found)
                work.erasure.erase([receipt_id], self.clock.now(), why)
            at, reason = found.erased or (self.clock.now(), why)
            told = {"at": render_instant(at), "why": reason}
            return {"receipt": receipt_id, "erased": told}

        done = await self.store.write(_erase)
        await self.store.scrub()
        return done

    async def expire(self, most: int = _BATCH) -> Mapping[str, Any]:
        """Erase some of what is older than it has to be kept.

        Args:
            most: How many receipts in this transaction.

        Returns:
            How many were `erased`, and whether there are `more`.
        """

        def _expire(work: UnitOfWork) -> tuple[int, bool]:
            self._check_calm(work)
            due = work.erasure.due(self._before(), most + 1)
            if len(due) <= most:
                work.erasure.forget_calls(self._before())
            erased = work.erasure.erase(due[:most], self.clock.now(), EXPIRED)
            return erased, len(due) > most

        erased, more = await self.store.write(_expire)
        if not more:
            await self.store.scrub()
        return {"erased": erased, "more": more}

    async def archived(
        self, receipts: Collection[str], digest: str
    ) -> Mapping[str, Any]:
        """Erase receipts that stand in an archive. Those erased already stay so.

        Args:
            receipts: Their ids.
            digest: SHA-256 of the archive, 64 hex digits.

        Raises:
            NotFound: As above, and then nothing is erased.
            Conflict: Likewise.
        """

        def _erase(work: UnitOfWork) -> int:
            self._check_calm(work)
            for receipt_id in receipts:
                found = work.erasure.look(receipt_id)
                if found is None:
                    detail = f"This node holds no receipt {receipt_id}."
                    raise NotFound("receipt.unknown", detail)
                if found.erased is None:
                    self._check_old(found)
            now = self.clock.now()
            return work.erasure.erase(receipts, now, f"archived: {digest}")

        erased = await self.store.write(_erase)
        await self.store.scrub()
        return {"erased": erased}

    async def restore(self, contents: Sequence[Content]) -> Mapping[str, Any]:
        """Put archived receipts back, each checked against its leaf in the log.

        Raises:
            Conflict: One is not what the log holds; none was put back.
        """

        def _restore(work: UnitOfWork) -> int:
            return sum(work.erasure.restore(each) for each in contents)

        return {"restored": await self.store.write(_restore)}

    def _before(self) -> datetime.datetime:
        return self.clock.now() - self.retention

    def _check_old(self, found: Erasable) -> None:
        if found.waiting:
            detail = "It is not in the log's tree yet. Try again in a moment."
            raise Conflict("receipt.waiting", detail)
        if found.at >= self._before():
            until = render_instant(found.at + self.retention)
            days = self.retention.days
            detail = f"Receipts are kept for {days} days: this one until {until}."
            raise Conflict("receipt.retained", detail)

    def _check_calm(self, work: UnitOfWork) -> None:
        """Erase no evidence while it is asked whether the log has two histories."""
        if any(alarm.stops for alarm in work.alarms.open()):
            detail = "An alarm about the log is open. Clear it first."
            raise Conflict("log.stopped", detail)
