#!/bin/sh
# Build the virtual environment, or say plainly what is missing.
# Usage: python.sh INTERPRETER-OR-EMPTY DIRECTORY
set -eu
wanted=$1
directory=$2

new_enough() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

interpreter=
for candidate in ${wanted:-python3 python3.13 python3.12 python3.11}; do
    if new_enough "$candidate"; then
        interpreter=$candidate
        break
    fi
done

if [ -z "$interpreter" ]; then
    echo "setup: Fieldpact needs Python 3.11 or newer." >&2
    if [ -n "$wanted" ]; then
        echo "       PYTHON=$wanted is older, or is not there." >&2
    elif command -v python3 >/dev/null 2>&1; then
        echo "       python3 here is $(python3 --version 2>&1)." >&2
    else
        echo "       There is no python3 on the path." >&2
    fi
    echo "       Install one, or name it: make setup PYTHON=/path/to/python3.11" >&2
    exit 1
fi

if ! "$interpreter" -c 'import venv, ensurepip' >/dev/null 2>&1; then
    echo "setup: $interpreter has no venv module." >&2
    echo "       On Debian and Ubuntu it is a package of its own: apt install python3-venv" >&2
    exit 1
fi

if [ ! -x "$directory/bin/python" ]; then
    echo "setup: $("$interpreter" --version) makes $directory"
    "$interpreter" -m venv --clear "$directory"
fi
