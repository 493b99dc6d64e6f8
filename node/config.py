"""The node's settings: one typed place, one file, the environment over it.

A settings file is YAML; `fieldpact init` writes a first one. Paths in it are
relative to the file. Every setting can be given as `FIELDPACT_<NAME>` in the
environment, nested ones with two underscores (`FIELDPACT_CHAIN__URL`), and goes
before the file. A wrong setting stops the node with its name and why.

Secrets are never settings: keys and operator tokens are files with owner-only
rights, or `FIELDPACT_KEY_<SUITE>` in the environment; a CRM's password is part
of a URL in a variable that a dataset names (`source: {env: …}`).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from node.errors import BadRequest

POLICIES = Path(__file__).resolve().parents[1] / "policies"


_FieldName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
_Did = Annotated[str, Field(pattern=r"^did:web:[A-Za-z0-9._:%-]{1,200}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Names(_Strict):
    """A name in both languages."""

    en: str = Field(min_length=1)
    zh: str = Field(min_length=1)


class Chain(_Strict):
    """The consortium chain, and the contract that anchors are written to.

    Attributes:
        chain_id: EIP-155; another chain at this address is then refused.
        finality: When a block stays: `immediate`, `depth:N`, `safe` or `finalized`.
        registry: Address of the registry of participants (`fieldpact consortium`);
            None: what the file pins is not compared with anything.
        registry_every_s: Time between two comparisons.
        registry_stale_s: For how long an answer of the registry counts.
    """

    url: str = Field(repr=False)
    contract: str
    chain_id: int | None = None
    finality: str = Field(
        default="immediate",
        pattern=r"^(immediate|depth:(0|[1-9]\d{0,5})|safe|finalized)$",
    )
    registry: str | None = Field(default=None, pattern=r"^0x[0-9a-fA-F]{40}$")
    registry_every_s: float = Field(default=60.0, ge=1, le=3600)
    registry_stale_s: float = Field(default=3600.0, ge=1, le=604_800)


class Witnesses(_Strict):
    """Who cosigns this node's checkpoints.

    Attributes:
        dids: Participants that are asked; every partner with whom there is an
            agreement when left out.
        quorum: How many should have cosigned what is anchored. Nothing waits for
            them; the node tells when there are fewer.
        every_s: Pause between two rounds of asking.
    """

    dids: tuple[_Did, ...] | None = Field(default=None, max_length=64)
    quorum: int = Field(default=0, ge=0, le=64)
    every_s: float = Field(default=10.0, gt=0, le=3600)

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dids is not None and len({*self.dids}) < self.quorum:
            message = "quorum is more than there are witnesses"
            raise ValueError(message)
        return self


class Tls(_Strict):
    """Certificate and key with which the node serves https itself."""

    certificate: Path
    key: Path


class Operator(_Strict):
    """Somebody who may use the management or the audit API.

    Attributes:
        token: File that holds the bearer token, one line, owner-only rights.
    """

    role: Literal["management", "audit"]
    token: Path


class Purpose(_Strict):
    """An entry of the consortium's purpose registry."""

    id: str
    title: Names


class CompanyPolicy(_Strict):
    """The company's own narrowing of what its agreements allow.

    Attributes:
        max_rows: Customers that one call may ask about.
        max_unacknowledged: Receipts of one agreement that a partner may leave
            without its signature before nothing more is answered under it.
        max_epsilon_micro: Privacy of the customers of one dataset that all partners
            together may spend in a calendar year, in millionths of epsilon.
    """

    denied_fields: tuple[_FieldName, ...] = ()
    denied_partners: tuple[_Did, ...] = ()
    max_rows: int = Field(default=10_000, ge=1, le=1_000_000)
    max_unacknowledged: int = Field(default=100, ge=1, le=1_000_000)
    max_epsilon_micro: int = Field(default=20_000_000, ge=0, le=1_000_000_000)


class Settings(BaseSettings):
    """Everything that can be set about a node.

    Attributes:
        url: Address under which partners reach the node; its DID follows from it.
        listen: `host:port` to listen on.
        database: SQLAlchemy URL of the node's own store.
        keys: Folder of the node's keys.
        suite: Of the key that signs receipts, snapshots and checkpoints; the log is
            hashed with what goes with it. Never changes over the life of a log.
        gm_only: Whether the company may offer nothing that rests on other algorithms
            than China's: no datasets then, as records are signed with BBS.
        participants: The consortium's registry file.
        authorities: PEM file with the certificate authorities that https is
            believed by; the public ones when left out.
        policy: `embedded`, or the URL of an OPA server.
        datasets: Declarations that are published when the node starts.
        integrate_every_s: Pause between two rounds of the log keeper.
        epoch_s: Time between two anchors.
        publish_every_s: Pause between two publications of each dataset; 0 for never.
        retention_days: How long what receipts say is kept; nothing younger can be
            erased. Rules ask for six months: no fewer than 183.
        compute: Where the arithmetic of aggregates is done: `processes` of this
            node, or the URL of a Dask scheduler, `tls://host:port`; `tcp://` on the
            loopback interface, for keys travel there.
        compute_workers: How many processes; as many as there are processors if left
            out.
    """

    model_config = SettingsConfigDict(
        env_prefix="FIELDPACT_",
        env_nested_delimiter="__",
        extra="forbid",
        frozen=True,
        env_ignore_empty=True,
    )

    name: Names
    url: str
    listen: str
    database: str = Field(repr=False)
    keys: Path
    suite: Literal["ed25519", "sm2"] = "ed25519"
    gm_only: bool = False
    participants: Path
    operators: tuple[Operator, ...] = ()
    policy: str = "embedded"
    policies: Path = POLICIES
    chain: Chain | None = None
    datasets: tuple[Path, ...] = ()
    purposes: tuple[Purpose, ...] = ()
    company: CompanyPolicy = CompanyPolicy()
    witnesses: Witnesses = Witnesses()
    tls: Tls | None = None
    authorities: Path | None = None
    integrate_every_s: float = Field(default=1.0, gt=0, le=3600)
    epoch_s: float = Field(default=300.0, ge=1, le=86400)
    publish_every_s: float = Field(default=0.0, ge=0, le=86400)
    retention_days: int = Field(default=183, ge=183, le=36_500)
    compute: str = "processes"
    compute_workers: int | None = Field(default=None, ge=1, le=1024)

    @model_validator(mode="after")
    def _check(self) -> Self:
        parts = urlsplit(self.url)
        local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
        if not _is_base(self.url):
            message = "url must be https://host[:port] and nothing more"
            raise ValueError(message)
        if parts.scheme != "https" and not (parts.scheme == "http" and local):
            message = "url must be https, except on the loopback interface"
            raise ValueError(message)
        host, _, port = self.listen.rpartition(":")
        if not host or not port.isdigit() or not 0 < int(port) < 65536:
            message = "listen must be host:port, as in 127.0.0.1:8101"
            raise ValueError(message)
        if self.policy != "embedded" and not _is_base(self.policy):
            message = "policy must be embedded, or http(s)://host[:port] of an OPA"
            raise ValueError(message)
        if self.compute != "processes" and not _is_scheduler(self.compute):
            message = (
                "compute must be processes, tls://host:port of a Dask scheduler,"
                " or tcp:// on the loopback interface"
            )
            raise ValueError(message)
        if self.gm_only and self.suite != "sm2":
            message = "gm_only needs suite: sm2"
            raise ValueError(message)
        if self.gm_only and self.datasets:
            message = (
                "gm_only offers no datasets: records are signed with BBS, on a curve"
                " that is not among China's standards"
            )
            raise ValueError(message)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the environment before the file."""
        return env_settings, init_settings

    @property
    def did(self) -> str:
        """Return the node's decentralised identifier."""
        return "did:web:" + urlsplit(self.url).netloc.replace(":", "%3A")

    @property
    def host(self) -> str:
        """Return the host to listen on."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """Return the port to listen on."""
        return int(self.listen.rpartition(":")[2])


def _is_base(url: str) -> bool:
    """Tell whether a text is http(s)://host[:port], with no password or path."""
    parts = urlsplit(url)
    rest = (parts.path.strip("/"), parts.query, parts.fragment, "@" in parts.netloc)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not any(rest)


def _is_scheduler(url: str) -> bool:
    """Tell whether a text is tls://host:port, or tcp:// to this machine."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    local = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    known = parts.scheme == "tls" or (parts.scheme == "tcp" and local)
    rest = (parts.path, parts.query, parts.fragment, "@" in parts.netloc)
    return known and bool(parts.hostname and port) and not any(rest)


def load(path: Path) -> Settings:
    """Read a settings file.

    Raises:
        BadRequest: Naming each wrong setting and why.
    """
    try:
        with path.open(encoding="utf-8") as file:
            values = YAML(typ="safe").load(file) or {}
        settings = Settings(**_absolute(values, path.resolve().parent))
    except (OSError, YAMLError, TypeError) as error:
        why = error.strerror if isinstance(error, OSError) else type(error).__name__
        detail = f"{path} cannot be read as settings: {why}."
        raise BadRequest("settings.unreadable", detail) from None  # as below
    except SettingsError as error:
        raise BadRequest("settings.invalid", f"{error}.") from None
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, each['loc'])) or 'settings'}: {each['msg']}"
            for each in error.errors(include_input=False, include_url=False)
        )
        # The cause would hold the values, and a value may be a password.
        raise BadRequest("settings.invalid", f"{path}: {wrong}.") from None
    return settings


def _absolute(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    """Return the settings with their paths relative to the file's folder."""
    out = dict(values)
    for name in ("keys", "participants", "policies", "authorities"):
        if isinstance(out.get(name), str):
            out[name] = base / out[name]
    if isinstance(out.get("tls"), dict):
        out["tls"] = {name: base / str(file) for name, file in out["tls"].items()}
    if isinstance(out.get("datasets"), list):
        out["datasets"] = [base / str(file) for file in out["datasets"]]
    operators = out.get("operators")
    if isinstance(operators, list):
        out["operators"] = [
            {**each, "token": base / str(each.get("token", ""))}
            if isinstance(each, dict)
            else each
            for each in operators
        ]
    database = out.get("database")
    scheme = "sqlite:///"
    if isinstance(database, str) and database.startswith(scheme):
        out["database"] = scheme + str(base / database.removeprefix(scheme))
    return out


def environment() -> Mapping[str, str]:
    """Return the environment, for what a settings file points at by name."""
    return dict(os.environ)
