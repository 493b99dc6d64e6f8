#!/bin/sh
# Put the `fieldpact` command into the virtual environment.
# Usage: launcher.sh VENV
#
# Fieldpact runs from its checkout and is never built into a wheel, so there is
# no installer that could write the command. These are the lines that one would
# have written: the checkout goes first on the path, and the same function is
# called. They begin as a shell script because the first line of a script cannot
# name an interpreter whose path holds a blank. A node's worker processes read
# this file again as a module, by another name: they must not serve as well.
set -eu
bin=$(CDPATH='' cd -- "$1/bin" && pwd)
checkout=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cat > "$bin/fieldpact" <<END
#!/bin/sh
"exec" "$bin/python" "\$0" "\$@"
import sys
sys.path.insert(0, "$checkout")
if __name__ == "__main__":
    from node.__main__ import main
    sys.exit(main())
END
chmod 755 "$bin/fieldpact"
