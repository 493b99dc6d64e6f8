"""`fieldpact`: the command line of a node.

`fieldpact verify` is the ledger's own program. It needs nothing of a node, so it is
started without loading one: whoever checks a file has only `ledger` and `crypto` to
read, and does not wait for the rest.
"""

import sys


def main() -> None:
    """Run the command line."""
    if sys.argv[1:2] == ["verify"]:
        from ledger.verifier import main as verify  # noqa: PLC0415  # see above

        verify(sys.argv[2:], program="fieldpact verify")
    else:
        from node.cli.app import app  # noqa: PLC0415  # see above

        app()


if __name__ == "__main__":
    main()
