"""regopy, loaded in such a way that it gives back what a decision took.

Its shared library brings an `operator new` and an `operator delete` of its own. The
C++ library, which it calls for text, takes those of whoever made the process load it:
numpy's or TenSEAL's are the system's. Then text is allocated by one and handed to the
other, which keeps it: 0.8 MiB for each decision, and for ever.

With the C++ library in the scope that all share, the engine's library finds the
operators there too, and everybody has the same. Where this system's C++ library has
another name, its loader knows no such scope either.

Source: System V ABI, "Shared Object Dependencies"; dlopen(3), RTLD_GLOBAL.
"""

import contextlib
import ctypes

with contextlib.suppress(OSError):
    ctypes.CDLL("libstdc++.so.6", mode=ctypes.RTLD_GLOBAL)

from regopy import Interpreter, RegoError  # only now

__all__ = ["Interpreter", "RegoError"]
