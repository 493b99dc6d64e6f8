"""The containers run what CI runs as plain processes, and expose nothing.

No container engine is needed: the files are read as data.
"""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from examples import processes
from node.api.app import create_app
from tests.support import REPOSITORY

COMPOSE: dict[str, Any] = YAML(typ="safe").load(
    (REPOSITORY / "docker-compose.yml").read_text(encoding="utf-8")
)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
SECRET = re.compile(r"PASSWORD|TOKEN|SECRET|KEY", re.IGNORECASE)
# Run by their image's own command; CI runs the same programs bare, by
# tests/support/servers.py.
DATABASES = {"maker-database", "supplier-database"}

HERE = Path("somewhere")
PLAIN = {
    "chain": processes.chain(path=HERE, port=1),
    "contract": processes.contract(chain="http://somewhere", settings=HERE),
    "registry": processes.registry(founders=HERE, settings=HERE),
    "register": processes.register(settings=HERE),
    "node": processes.node(settings=HERE),
    "dashboard": processes.dashboard(settings=HERE),
    "opa": processes.opa(port=1),
}


def shape(command: list[str]) -> list[str]:
    """Strip from a command line what may differ from place to place.

    The interpreter's path, the address listened on, and the value of an option.
    """
    program = re.sub(r"^python[0-9.]*$", "python", Path(command[0]).name)
    words, rest = [program], iter(command[1:])
    for word in rest:
        if word in {"--settings", "--path", "--port", "--founder"}:
            next(rest)
            words.append(word)
        elif word == "--host":
            next(rest)
        elif word == "--allow-remote":
            continue
        elif word.startswith("http://"):
            words.append("http://…")
        elif word.startswith("--addr="):
            words.append("--addr")
        else:
            words.append(word)
    return words


def argv(service: dict[str, Any]) -> list[str]:
    return [*service.get("entrypoint", []), *service["command"]]


@pytest.mark.parametrize("name", sorted(set(SERVICES) - DATABASES))
def test_a_container_runs_a_command_that_ci_runs_as_a_process(name: str) -> None:
    assert shape(argv(SERVICES[name])) in [shape(command) for command in PLAIN.values()]


@pytest.mark.parametrize("company", ["maker", "supplier"])
def test_each_company_has_a_database_a_policy_server_a_node_and_a_dashboard(
    company: str,
) -> None:
    for part in ("node", "dashboard", "opa", "register"):
        assert shape(argv(SERVICES[f"{company}-{part}"])) == shape(PLAIN[part])
    assert SERVICES[f"{company}-database"]["image"].startswith("postgres:")


@pytest.mark.parametrize("part", ["chain", "contract", "registry"])
def test_there_is_one_chain_and_one_contract_of_each_kind(part: str) -> None:
    found = [
        name
        for name in set(SERVICES) - DATABASES
        if shape(argv(SERVICES[name])) == shape(PLAIN[part])
    ]
    assert found == [part]


def test_no_node_serves_before_the_contracts_are_there_and_hold_its_keys() -> None:
    done = {"condition": "service_completed_successfully"}
    assert SERVICES["registry"]["depends_on"] == {"contract": done}
    for company in ("maker", "supplier"):
        assert SERVICES[f"{company}-register"]["depends_on"] == {"registry": done}
        waits = SERVICES[f"{company}-node"]["depends_on"]
        assert waits[f"{company}-register"] == done


def test_ports_are_published_on_loopback_only() -> None:
    published = [port for s in SERVICES.values() for port in s.get("ports", [])]

    assert published
    assert [port for port in published if not str(port).startswith("127.0.0.1:")] == []


def test_databases_and_policy_servers_are_on_their_companys_own_network() -> None:
    for name, service in SERVICES.items():
        company, _, part = name.partition("-")
        if part in {"database", "opa"}:
            assert service["networks"] == [company]
            assert COMPOSE["networks"][company]["internal"] is True
            assert "ports" not in service


ONCE = {"contract", "registry", "maker-register", "supplier-register"}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - ONCE))
def test_a_container_says_when_it_is_healthy(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


def test_the_health_of_a_service_is_asked_where_it_answers() -> None:
    """The paths exist, and a node is asked over the https that it speaks."""
    node = " ".join(SERVICES["maker-node"]["healthcheck"]["test"])
    dashboard = " ".join(SERVICES["maker-dashboard"]["healthcheck"]["test"])

    assert "https://127.0.0.1:8101/health/ready" in node
    assert "/health/ready" in create_app(lambda: None, {}).openapi()["paths"]  # type: ignore[arg-type,return-value]
    assert "http://127.0.0.1:8201/health/live" in dashboard
    assert '"/health/live"' in (REPOSITORY / "dashboard" / "app.py").read_text()


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_secrets_reach_a_container_by_file_only(name: str) -> None:
    environment = SERVICES[name].get("environment", {})

    assert [
        k for k in environment if SECRET.search(k) and not k.endswith("_FILE")
    ] == []
    for secret in COMPOSE["secrets"].values():
        assert set(secret) == {"file"}
        assert secret["file"].startswith("./.compose/")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_an_image_is_pinned_and_a_container_has_no_privileges(name: str) -> None:
    service = SERVICES[name]

    _, _, tag = service["image"].rpartition(":")
    assert tag
    assert tag != "latest"
    assert not {"privileged", "cap_add", "network_mode", "pid"} & set(service)


def test_the_image_is_built_from_the_hashed_lock_and_runs_as_nobody_special() -> None:
    installs = [line for line in DOCKERFILE.splitlines() if "pip install" in line]

    assert installs
    assert all("--require-hashes" in line for line in installs)
    assert DOCKERFILE.rindex("\nUSER fieldpact") > DOCKERFILE.rindex("\nFROM ")
    assert not re.search(r"\b(curl|wget|ADD)\b|://", DOCKERFILE)


def test_the_image_copies_every_package_and_the_policies() -> None:
    for folder in ("crypto", "ledger", "node", "policies", "dashboard"):
        assert f"COPY {folder}/ {folder}/" in DOCKERFILE
        allowed = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8")
        assert f"!{folder}/" in allowed.splitlines()
