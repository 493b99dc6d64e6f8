"""Whether workers compute what they computed when this was written."""

import asyncio
import logging

from crypto import noise
from crypto.errors import CryptoError
from crypto.kernels import selftest
from node.errors import Unavailable
from node.ports.aggregates import Compute

_log = logging.getLogger("fieldpact")


class Readied:
    """Refuses aggregates until a worker gave the known answers.

    Where it gives others, or there is no worker, they stay refused; everything else
    of the node works.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._why: str | None = "The known answers have not been asked for yet."
        self._wrong = False

    async def check(self) -> None:
        """Ask a worker for the known answers, until they were given once.

        What is wrong is kept, not raised. A wrong answer stays one: it is mended by
        other packages, and so by another process. A worker that is not there may come.
        """
        if self._why is None or self._wrong:
            return
        said = self._why
        try:
            await self._compute(selftest.check)
            # Noise is drawn in this process: what draws it is loaded now, as that
            # takes a fifth of a second in which nobody is answered.
            await asyncio.to_thread(noise.check)
        except CryptoError as error:
            self._wrong = True
            self._why = f"Workers do not compute as they should: {error}."
        except Unavailable as error:
            self._why = error.detail
        else:
            self._why = None
        if self._why and self._why != said:
            _log.error("aggregates are refused: %s", self._why)

    async def first(self) -> None:
        """Ask for the known answers if need be; return if aggregates can be computed.

        Raises:
            Unavailable: They cannot (`aggregate.unavailable`); the detail says why.
        """
        await self.check()
        self()

    def __call__(self) -> None:
        """Return if aggregates can be computed.

        Raises:
            Unavailable: They cannot (`aggregate.unavailable`); the detail says why.
        """
        if self._why is not None:
            raise Unavailable("aggregate.unavailable", self._why)
