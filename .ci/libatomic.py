#!/usr/bin/env python3
"""Let the policy engine load on a machine without libatomic.

    python libatomic.py

The wheel of regopy says that it needs `libatomic.so.1`, and takes no symbol from
it. A machine without a compiler often lacks that library, and nothing on PyPI
brings it. There, and only there, this points the wheel's entry at `libc.so.6`,
which every process has loaded. Nothing else in the file changes, and it is tried
before it takes the old one's place.

Source: System V ABI, "Dynamic Section" (DT_NEEDED holds an offset into the table
of strings).
"""

import importlib.util
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ABSENT, INSTEAD = "libatomic.so.1", "libc.so.6"
PT_LOAD, PT_DYNAMIC = 1, 2
DT_NEEDED, DT_STRTAB = 1, 5


class Elf:
    """The dynamic section of a 64-bit little-endian ELF file."""

    def __init__(self, data: bytearray) -> None:
        if data[:6] != b"\x7fELF\x02\x01":
            message = "not a 64-bit little-endian ELF file"
            raise ValueError(message)
        self.data = data
        (start,) = struct.unpack_from("<Q", data, 32)
        size, count = struct.unpack_from("<HH", data, 54)
        headers = [
            struct.unpack_from("<IIQQQQ", data, start + at * size)
            for at in range(count)
        ]
        self._loads = [header[2:] for header in headers if header[0] == PT_LOAD]
        self._dynamic = next(
            (header[2], header[5]) for header in headers if header[0] == PT_DYNAMIC
        )
        strings = next(value for _, tag, value in self._entries() if tag == DT_STRTAB)
        self._strings = self._offset(strings)

    def _entries(self) -> Iterator[tuple[int, int, int]]:
        """Give each entry's place in the file, tag and value."""
        start, size = self._dynamic
        for at in range(start, start + size, 16):
            tag, value = struct.unpack_from("<qQ", self.data, at)
            yield at, tag, value

    def _offset(self, address: int) -> int:
        for offset, start, _, size in self._loads:
            if start <= address < start + size:
                return int(offset + address - start)
        message = "an address outside the file"
        raise ValueError(message)

    def needed(self) -> dict[str, tuple[int, int]]:
        """Return each needed library's entry: its place, and its value."""
        found = {}
        for at, tag, value in self._entries():
            if tag == DT_NEEDED:
                begin = self._strings + value
                name = self.data[begin : self.data.index(0, begin)].decode()
                found[name] = (at, value)
        return found

    def redirect(self, name: str, instead: str) -> None:
        """Let the entry of one needed library name another needed one."""
        entries = self.needed()
        struct.pack_into(
            "<qQ", self.data, entries[name][0], DT_NEEDED, entries[instead][1]
        )


def loads(library: str) -> bool:
    """Tell whether a shared library can be loaded, by a process that may crash."""
    program = "import ctypes, os, sys; ctypes.CDLL(sys.argv[1], os.RTLD_NOW)"
    tried = subprocess.run(  # noqa: S603 - this interpreter, and a fixed program
        [sys.executable, "-c", program, library], check=False, capture_output=True
    )
    return tried.returncode == 0


def mend(library: Path) -> bool:
    """Redirect the entry if need be; tell whether the library was changed.

    Raises:
        OSError: It does not load even so; it is as it was.
    """
    elf = Elf(bytearray(library.read_bytes()))
    if ABSENT not in elf.needed():
        return False
    elf.redirect(ABSENT, INSTEAD)
    draft = library.with_suffix(".new")
    shutil.copy2(library, draft)
    try:
        draft.write_bytes(elf.data)
        if not loads(str(draft)):
            message = "it does not load without it"
            raise OSError(message)
        draft.replace(library)
    finally:
        draft.unlink(missing_ok=True)
    return True


def main() -> None:
    """Mend the installed regopy where libatomic is not there."""
    spec = importlib.util.find_spec("regopy")
    if not sys.platform.startswith("linux") or spec is None or loads(ABSENT):
        return
    for folder in spec.submodule_search_locations or ():
        for library in Path(folder).glob("*.so"):
            try:
                if mend(library):
                    sys.stdout.write(f"setup: regopy now loads without {ABSENT}\n")
            except (OSError, ValueError, KeyError, StopIteration) as error:
                sys.exit(
                    f"setup: regopy needs {ABSENT}, which is not here ({error}).\n"
                    "       On Debian and Ubuntu: apt install libatomic1"
                )


if __name__ == "__main__":
    main()
