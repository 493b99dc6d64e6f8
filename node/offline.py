"""What the command line does without a running node.

Making a node (keys, tokens, settings), keeping the consortium's registry file,
examining a dataset before it is published, deciding a kept question again,
creating the anchor contract.
"""

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from crypto.errors import CryptoError
from crypto.keyids import Suite
from crypto.signing import Verifier
from ledger.consortium import follow, register
from ledger.errors import ChainUnavailable
from ledger.participants import Participant, PastKey, pins_of
from ledger.rpc_reader import RpcChainReader
from ledger.rpc_registry import RpcRegistry
from node.adapters.crm.declaration import load_declaration, located
from node.adapters.crm.opening import open_source
from node.adapters.keyring import Keyring, generate_keys, load_keys, write_secret
from node.adapters.peers import believed
from node.adapters.rotation import next_key, put_in_place, record_after
from node.adapters.system import SystemClock, system_randomness
from node.bootstrap import SECRETS
from node.bootstrap.adapters import policy_of
from node.bootstrap.record import record_of
from node.config import Settings, environment, load
from node.domain.agreement import render_instant
from node.domain.checking import InvalidDeclaration, did_you_mean
from node.domain.customer import rule_problem
from node.domain.dataset import Source
from node.domain.decision import Decision
from node.domain.declaration import FILES, dataset_to_json
from node.domain.preview import preview
from node.domain.publication import check_columns, customers_in, examine
from node.errors import BadRequest, Conflict

if TYPE_CHECKING:
    from ledger.sender import Sender


_CHAIN_S = 20.0
"""How long a person waits for each answer of a chain, in seconds."""


def random_bytes(count: int) -> bytes:
    """Return random bytes, for checking many proofs together."""
    return system_randomness(count)


def new_node(
    folder: Path,
    *,
    name: Mapping[str, str],
    url: str,
    listen: str,
    suite: Suite = "ed25519",
    gm_only: bool = False,
) -> Path:
    """Write a new node: settings, and what `complete` makes for them.

    Args:
        folder: Made if it is not there.
        name: The company's, by language.
        url: Where partners reach the node.
        listen: `host:port`.
        suite: Of the key that signs receipts; stays what it is.
        gm_only: Whether nothing may be offered that rests on BBS.

    Returns:
        The settings file.

    Raises:
        Conflict: The folder holds settings or keys already; nothing was written.
        BadRequest: The settings would be wrong; nothing was written.
    """
    settings = folder / "node.yaml"
    for there in (settings, *(folder / "keys").glob("*.key")):
        if there.exists():
            detail = f"{there} is there already; move it away first."
            raise Conflict("node.exists", detail)
    text = _SETTINGS.format(
        name=json.dumps(dict(name), ensure_ascii=False), url=url, listen=listen
    )
    if suite != "ed25519":
        text += f"suite: {suite}  # receipts, snapshots, the log; not to be changed\n"
    if gm_only:
        text += "gm_only: true  # no datasets\n"
    folder.mkdir(parents=True, exist_ok=True)
    settings.write_text(text, encoding="utf-8")
    try:
        made = load(settings)
    except BadRequest:
        settings.unlink()
        raise
    complete(made)
    return settings


def complete(settings: Settings) -> list[Path]:
    """Make what settings name and what is not there yet.

    Keys where there is none, a token for each operator that has none, and
    the node's own record in the registry.

    Returns:
        The files and folders that were made or changed.

    Raises:
        Conflict: The registry pins keys for this node, and they are not here.
    """
    registry, made = settings.participants, list[Path]()
    known = {each.did: each for each in read_registry(registry)}
    given = any(name.startswith(SECRETS) for name in environment())
    if not given and not any(settings.keys.glob("*.key")):
        if settings.did in known:
            detail = f"{registry} pins keys for {settings.did}: put them here."
            raise Conflict("keys.missing", f"{settings.keys} holds no keys. {detail}")
        generate_keys(settings.keys, system_randomness, suite=settings.suite)
        made.append(settings.keys)
    for operator in settings.operators:
        if not operator.token.exists():
            write_secret(operator.token, system_randomness(32))
            made.append(operator.token)
    if settings.did not in known:
        write_registry(registry, [*known.values(), own_record(settings)])
        made.append(registry)
    return made


def own_record(settings: Settings) -> Participant:
    """Return the record by which a registry can pin this node, with its past keys.

    Raises:
        BadRequest: A key, or the registry file, cannot be used.
    """
    record = record_of(settings, _own_keys(settings))
    for pinned in read_registry(settings.participants):
        if pinned.did == record.did:
            return replace(record, past_keys=pinned.past_keys)
    return record


def new_keys(folder: Path, suite: Suite = "ed25519") -> None:
    """Write new keys. Raises `Conflict` where there are keys already."""
    generate_keys(folder, system_randomness, suite=suite)


def _own_keys(settings: Settings) -> Keyring:
    return load_keys(settings.keys, environment(), suite=settings.suite)


def repinned(known: Mapping[str, Participant], new: Participant) -> Participant:
    """Return a record to be pinned, in which no key is forgotten that was pinned.

    A company that leaves a key out that it signed with does not unsign anything.
    """
    before = known.get(new.did)
    if before is None:
        return new
    now = render_instant(SystemClock().now())
    ended = [PastKey(key=each, until=now) for each in (before.signing, _token(before))]
    past = {each.key: each for each in (*ended, *before.past_keys, *new.past_keys)}
    current = {new.signing, _token(new)}
    kept = sorted(
        (each for key, each in past.items() if key not in current),
        key=lambda each: each.until,
        reverse=True,
    )
    return replace(new, past_keys=tuple(kept))


def _token(participant: Participant) -> Verifier:
    return participant.token_verifiers[0]


def read_json(path: Path) -> Any:
    """Return the JSON of a file. Raises `OSError` or `ValueError`."""
    return json.loads(path.read_bytes())


def read_registry(path: Path) -> list[Participant]:
    """Return the participants of a registry file; none when there is no file."""
    if not path.exists():
        return []
    try:
        return list(pins_of(read_json(path)).values())
    except (OSError, ValueError, CryptoError) as error:
        detail = f"The registry {path} cannot be read: {error}"
        raise BadRequest("registry.unreadable", detail) from error


def write_registry(path: Path, participants: Iterable[Participant]) -> None:
    """Replace a registry file, at once: a reader sees the old or the new one."""
    records = [each.to_json() for each in participants]
    text = json.dumps(records, ensure_ascii=False, indent=2) + "\n"
    draft = path.with_suffix(".new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def http_client(settings: Settings, **options: Any) -> httpx.Client:
    """Return a client that believes the certificates that the node believes.

    Raises:
        BadRequest: The file of authorities holds no certificates.
    """
    verify = believed(settings.authorities)
    return httpx.Client(trust_env=False, verify=verify, **options)


def deploy_contract(settings: Settings, url: str) -> str:
    """Create the consortium's anchor contract; return its address.

    Where the settings name a contract that is there already, that one is returned.
    """
    if settings.chain is not None and _is_there(url, settings.chain.contract):
        return settings.chain.contract
    from ledger.chain import deploy  # noqa: PLC0415  # as in `anchors_of`

    keys = load_keys(settings.keys, environment())
    return deploy(url, key=keys.secp256k1)


@contextmanager
def account(settings: Settings, url: str = "") -> Iterator["Sender"]:
    """Give the sender of this node's transactions, while the block lasts.

    Args:
        url: JSON-RPC address of the chain; that of the settings if empty.

    Raises:
        BadRequest: A key cannot be used, or no chain is named.
    """
    chain = settings.chain
    if not url and chain is None:
        detail = "The settings name no chain. Say where it is with --chain."
        raise BadRequest("chain.unset", detail)
    from ledger.sender import Sender  # noqa: PLC0415  # as in `anchors_of`

    key = load_keys(settings.keys, environment()).secp256k1
    chain_id = chain.chain_id if chain else None
    where = url or (chain.url if chain else "")
    made = Sender(where, key, chain_id=chain_id, timeout_s=_CHAIN_S)
    with closing(made) as sender:
        yield sender


@contextmanager
def registry(settings: Settings) -> Iterator[RpcRegistry]:
    """Give the consortium's registry contract, while the block lasts.

    Raises:
        BadRequest: The settings name none.
    """
    chain = settings.chain
    if chain is None or chain.registry is None:
        detail = "The settings name no registry: write its address as chain.registry."
        raise BadRequest("registry.unset", detail)
    reader = RpcRegistry(
        chain.url, chain.registry, chain_id=chain.chain_id, timeout_s=_CHAIN_S
    )
    with closing(reader) as opened:
        yield opened


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What became of a rotation.

    Attributes:
        was: Id of the key before.
        now: Id of the new one.
        account: The account that speaks for the company, or is to.
        kept: Where the key before is now.
        finished: False while a new account waits for votes.
    """

    did: str
    was: str
    now: str
    account: str
    kept: Path
    finished: bool


def rotate_key(settings: Settings, suite: str, *, revoke: bool = False) -> Rotated:
    """Put a new key in the place of one; go on with a rotation that was cut short.

    1. Make the new key beside the old.
    2. Tell the registry contract, where the settings name one.
    3. Pin the record with the new key, and the old one among its past keys.
    4. Let the new key take the place of the old.

    Args:
        suite: Whose key.
        revoke: Whether the old key is revoked before, so that it can never be set
            again.

    Raises:
        BadRequest: There is no such key, or it stands in the environment.
        Refused: The contract refuses.
        ChainUnavailable: It did not answer; call again.
    """
    before = own_record(settings)
    named = next((each for each in before.keys if each == suite), None)
    if named is None:
        detail = f"This node has keys of {', '.join(before.keys)}, none of {suite}."
        raise BadRequest("keys.unknown", detail)
    variable = f"{SECRETS}{suite.upper()}"
    if variable in environment():
        detail = f"{variable} is set: what stands in the environment is changed there."
        raise BadRequest("keys.environment", detail)
    following = next_key(settings.keys, suite, system_randomness)
    after = record_after(before, named, following, SystemClock().now())
    old = before.key_id(named)
    done = Rotated(
        did=before.did,
        was=old,
        now=after.key_id(named),
        account=after.chain_address,
        kept=settings.keys / f"{suite}-{old.rpartition('-')[2]}.old",
        finished=_told(settings, before, after, named, following, revoke=revoke),
    )
    if done.finished:
        known = {each.did: each for each in read_registry(settings.participants)}
        write_registry(settings.participants, {**known, after.did: after}.values())
        put_in_place(settings.keys, suite, done.kept)
    return done


def _told(
    settings: Settings,
    before: Participant,
    after: Participant,
    suite: Suite,
    following: Any,
    *,
    revoke: bool,
) -> bool:
    """Tell the registry contract of a key; False while members have yet to vote."""
    chain = settings.chain
    if chain is None or chain.registry is None:
        return True
    did, was, now = after.did, before.keys[suite], after.keys[suite]
    with registry(settings) as read:
        if suite != "secp256k1":
            with account(settings) as sender:
                follow(
                    sender, read, did=did, suite=suite, was=was, now=now, revoked=revoke
                )
            return True
        if read.history(did).now.account != after.chain_address:
            return False
        # The vote ended every key of the account before.
        from ledger.sender import Sender  # noqa: PLC0415  # as above

        other = Sender(
            chain.url, following, chain_id=chain.chain_id, timeout_s=_CHAIN_S
        )
        with closing(other) as sender:
            register(sender, read, did=did, keys=after.keys)
        return True


def registry_there(settings: Settings) -> str | None:
    """Return the registry that the settings name, if it is on the chain; or None."""
    if settings.chain is None or settings.chain.registry is None:
        return None
    with registry(settings) as reader:
        try:
            _ = reader.chain_id
        except ChainUnavailable:
            return None
        return reader.contract


def _is_there(url: str, contract: str) -> bool:
    """Tell whether a chain holds our contract at an address."""
    with closing(RpcChainReader(url, contract)) as reader:
        try:
            _ = reader.chain_id
        except ChainUnavailable:
            return False
        return True


def decide_again(settings: Settings, question: Mapping[str, Any]) -> Decision:
    """Let the policies decide a question that was decided before.

    Raises:
        Unavailable: The policies or their engine are not there.
    """

    async def _decide() -> Decision:
        async with policy_of(settings) as engine:
            await engine.ready()
            return await engine.decide(question)

    return asyncio.run(_decide())


def examine_file(
    file: Path, agreement: Mapping[str, str] | None, progress: Callable[[int], None]
) -> dict[str, Any]:
    """Examine a declared dataset without a node, and preview what is seen of it.

    Args:
        agreement: Mode by field, to preview what a partner would see; or None.
        progress: Called with the number of rows read so far.

    Raises:
        BadRequest: The declaration has mistakes, each with its line and mend.
        Unavailable: The source did not answer.
    """
    dataset = load_declaration(file)
    source = open_source(dataset.source, environment())
    try:
        check_columns(dataset, source.check())
        report = examine(dataset, source, progress=progress)
    except InvalidDeclaration as error:
        raise located(error, file) from None
    finally:
        source.close()
    return preview(dataset, report, agreement)


def read_declaration(file: Path) -> dict[str, Any]:
    """Return a declaration file as the management API takes it.

    Raises:
        BadRequest: It has mistakes, each with its line and mend.
    """
    return dataset_to_json(load_declaration(file))


def read_customers(
    file: Path, column: str, rule: str
) -> tuple[set[str], Mapping[str, int]]:
    """Read who a company's customers are, from its CRM.

    Args:
        file: A dataset's declaration, which says where and how; or a CSV or
            Parquet file.
        column: Of such a file; what identifies a customer.
        rule: For such a file.

    Returns:
        The normalised keys; and how many rows have none, by what is wrong.

    Raises:
        BadRequest: The declaration, the column or the rule is wrong.
        Unavailable: The source did not answer.
    """
    if file.suffix.lower() in FILES:
        if problem := rule_problem(rule):
            raise BadRequest("rule.unknown", f"`{rule}` is no rule; {problem}.")
        place = Source(url=str(file.resolve()), relation="", record=column)
    else:
        declared = load_declaration(file)
        column, rule = declared.customer.column, declared.customer.rule
        place = declared.source
    with closing(open_source(place, environment())) as source:
        columns = source.check().columns
        if column not in columns:
            mend = did_you_mean(column, columns)
            raise BadRequest("column.unknown", f"{file} has no `{column}`; {mend}.")
        return customers_in(source, column, rule)


_SETTINGS = """\
# A node's settings. Paths are relative to this file. Everything that can be set,
# and what it means, stands in node/config.py.
name: {name}
url: {url}
listen: {listen}
database: sqlite:///node.sqlite
keys: keys
participants: participants.json
operators:
  - {{role: management, token: management.token}}
  - {{role: audit, token: audit.token}}
policy: embedded
datasets: []  # declarations, published when the node starts
purposes:
  - {{id: joint-delivery, title: {{en: Joint delivery, zh: 联合交付}}}}
  - {{id: service-quality, title: {{en: Service quality, zh: 服务质量}}}}
"""
