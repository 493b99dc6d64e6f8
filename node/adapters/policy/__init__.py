"""Asking a policy engine: the same policies and the same answers, either way.

`bundle` reads the policies, `question` and `answer` check what goes in and what
comes out, `engine` holds what every engine shares, `embedded` and `opa_server`
are the two engines, `library` loads what the first is made of, `selftest` makes sure
that the configured one decides as pinned.
"""
