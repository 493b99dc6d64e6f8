"""What a worker process does first. It loads nothing but the standard library."""

import os
import signal
import threading
from multiprocessing import parent_process

_NICE = 10
"""How far a worker stands back: whoever calls the node is answered first."""


def begin() -> None:
    """Let the node go first, leave interrupts to it, and end when it does.

    A node that is killed cannot end its workers; each sees it, and ends itself.
    """
    os.nice(_NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_outlive_nobody, daemon=True).start()


def _outlive_nobody() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
