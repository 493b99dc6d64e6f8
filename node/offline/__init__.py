"""What the command line does without a running node.

* `founding`        makes a node: keys, tokens, settings, its record
* `registry_file`   reads and writes the consortium's registry file
* `reading`         examines a dataset before it is published, reads who customers are
* `deciding`        decides a kept question again
* `contracts`       uses the consortium's contracts
* `rotating`        puts a new key in the place of one
"""

from typing import Any

import httpx

from node.adapters.peers import believed
from node.adapters.system import system_randomness
from node.config import Settings
from node.offline.contracts import account, deploy_contract, registry, registry_there
from node.offline.deciding import decide_again
from node.offline.founding import complete, new_keys, new_node, own_record
from node.offline.reading import examine_file, read_customers, read_declaration
from node.offline.registry_file import (
    read_json,
    read_registry,
    repinned,
    write_registry,
)
from node.offline.rotating import Rotated, rotate_key

__all__ = [
    "Rotated",
    "account",
    "complete",
    "decide_again",
    "deploy_contract",
    "examine_file",
    "http_client",
    "new_keys",
    "new_node",
    "own_record",
    "random_bytes",
    "read_customers",
    "read_declaration",
    "read_json",
    "read_registry",
    "registry",
    "registry_there",
    "repinned",
    "rotate_key",
    "write_registry",
]


def random_bytes(count: int) -> bytes:
    """Return random bytes, for checking many proofs together."""
    return system_randomness(count)


def http_client(settings: Settings, **options: Any) -> httpx.Client:
    """Return a client that believes the certificates that the node believes.

    Raises:
        BadRequest: The file of authorities holds no certificates.
    """
    verify = believed(settings.authorities)
    return httpx.Client(trust_env=False, verify=verify, **options)
