"""What one dashboard is told about its company, its node and its chain.

One TOML file, read once at start. Paths in it are relative to the file. A wrong
entry is refused with its name and the reason; nothing falls back in silence.

```toml
participant = "did:web:127.0.0.1%3A8101"   # the company whose node is audited
registry = "registry.json"                 # pinned participants, see `registry`
access_key_sha256 = "9f86d0…"              # hex SHA-256 of the access key
language = "zh"                            # shown when a reader states no wish
time_zone = "Asia/Shanghai"                # IANA name; readers may switch to UTC

[node]
url = "http://127.0.0.1:8101"
token_file = "audit.token"                 # bearer token of role audit
authorities = "authorities.pem"            # whom https is believed by, if not
timeout_s = 5                              # the public authorities

[listen]
host = "127.0.0.1"
port = 8201
public_url = "https://audit.example"       # where readers reach it, if elsewhere

[chain]                                    # leave out: anchors are not checked
rpc_url = "http://127.0.0.1:8545"
contract = "0x…"                           # the consortium's anchor contract
registry = "0x…"                           # its registry of keys; leave out: since
                                           # when keys held is only stated
```
"""

import ipaddress
import ssl
import tomllib
import zoneinfo
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from dashboard.errors import SettingsError


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        message = "must be an http or https URL"
        raise ValueError(message)
    return value.rstrip("/")


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError) as error:
        message = "must be an IANA time zone, for example Asia/Shanghai"
        raise ValueError(message) from error
    return value


HttpUrl = Annotated[str, AfterValidator(_http_url)]


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NodeSettings(_Strict):
    """The node that is audited."""

    url: HttpUrl
    token_file: Path
    authorities: Path | None = None
    timeout_s: float = Field(default=5, gt=0, le=60)


class ListenSettings(_Strict):
    """Where the dashboard listens, and where readers reach it."""

    host: str = "127.0.0.1"
    port: int = Field(ge=0, le=65535)
    public_url: HttpUrl | None = None

    @property
    def url(self) -> str:
        """Return the address that readers type."""
        return self.public_url or f"http://{self.host}:{self.port}"

    @model_validator(mode="after")
    def _private_or_encrypted(self) -> Self:
        host = urlsplit(self.url).hostname or ""
        if self.url.startswith("https://") or host == "localhost" or _loopback(host):
            return self
        message = (
            "public_url must be https unless the host is loopback: browsers check "
            "receipts only in a secure context"
        )
        raise ValueError(message)


class ChainSettings(_Strict):
    """The chain that the dashboard asks itself."""

    rpc_url: HttpUrl
    contract: str = Field(pattern=r"^0x[0-9a-fA-F]{40}$")
    registry: str | None = Field(default=None, pattern=r"^0x[0-9a-fA-F]{40}$")
    timeout_s: float = Field(default=3, gt=0, le=60)


class Settings(_Strict):
    """Everything that a dashboard is told. See the module's example."""

    participant: str = Field(pattern=r"^did:[a-z0-9]+:.+$")
    registry: Path
    access_key_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    language: Literal["zh", "en"] = "zh"
    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    node: NodeSettings
    listen: ListenSettings
    chain: ChainSettings | None = None


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def read_settings(path: Path) -> Settings:
    """Read and check a settings file; paths come back absolute.

    Raises:
        SettingsError: The file cannot be read, is not TOML, or has an entry
            that is missing, unknown or out of range; the message names it.
    """
    try:
        found = Settings.model_validate(tomllib.loads(path.read_text("utf-8")))
    except OSError as error:
        message = f"{path}: {error.strerror}"
        raise SettingsError(message) from error
    except tomllib.TOMLDecodeError as error:
        message = f"{path}: not TOML: {error}"
        raise SettingsError(message) from error
    except ValidationError as error:
        message = f"{path}: {_reasons(error)}"
        raise SettingsError(message) from error
    base = path.resolve().parent
    files = {"token_file": base / found.node.token_file}
    if found.node.authorities:
        files["authorities"] = base / found.node.authorities
    node = found.node.model_copy(update=files)
    return found.model_copy(update={"registry": base / found.registry, "node": node})


def read_token(path: Path) -> str:
    """Read the bearer token that the node gave for auditing.

    Raises:
        SettingsError: The file is missing or empty.
    """
    try:
        token = path.read_text("utf-8").strip()
    except OSError as error:
        message = f"node.token_file: cannot read {path}: {error.strerror}"
        raise SettingsError(message) from error
    if not token:
        message = f"node.token_file: {path} is empty"
        raise SettingsError(message)
    return token


def believed(authorities: Path | None) -> ssl.SSLContext | bool:
    """Return what the node's certificate is checked against.

    Raises:
        SettingsError: The file holds no certificates.
    """
    if authorities is None:
        return True
    try:
        return ssl.create_default_context(cafile=authorities)
    except OSError as error:
        message = f"node.authorities: {authorities} holds no certificates in PEM"
        raise SettingsError(message) from error


def _reasons(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in each['loc'])}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    )
