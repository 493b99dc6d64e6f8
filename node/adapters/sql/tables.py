"""The node's own tables. SQLite and PostgreSQL hold the same ones.

Times are epoch seconds, hashes and tokens raw bytes, so that both databases sort
and compare them alike. What the audit asks for often (who, what, when) stands in
columns beside the canonical receipt; the receipt itself is the truth.
"""

import sqlalchemy as sa
from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Text

metadata = sa.MetaData()
_serial = BigInteger().with_variant(Integer(), "sqlite")

datasets = sa.Table(
    "datasets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("schema", Text, nullable=False),
    Column("key_id", String(256), nullable=False),
    Column("published_at", BigInteger, nullable=False),
    Column("declaration", Text, nullable=False),
    Column("report", Text, nullable=False),
)

records = sa.Table(
    "records",
    metadata,
    Column("dataset", String(64), primary_key=True),
    Column("key", String(256), primary_key=True),
    Column("customer", String(256), nullable=False),
    Column("link", LargeBinary(48), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("version", Integer, nullable=False),
    Index("records_by_customer", "dataset", "customer", "key"),
    Index("records_by_version", "dataset", "version", "key"),
)

seals = sa.Table(
    "seals",
    metadata,
    Column("agreement", String(128), primary_key=True),
    Column("key", String(256), primary_key=True),
    # The first snapshot that holds it. One that is not yet published is invisible.
    Column("since", BigInteger, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("customer", String(256), nullable=False),
    Column("version", Integer, nullable=False),
    Column("link", LargeBinary(48), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("blinder", LargeBinary(48), nullable=False),
    Column("signature", LargeBinary(80), nullable=False),
    Column("commitment", LargeBinary(48), nullable=False),
    Index("seals_by_position", "agreement", "position", "key"),
    Index("seals_by_since", "agreement", "since"),
)

snapshots = sa.Table(
    "snapshots",
    metadata,
    Column("row", _serial, primary_key=True, autoincrement=True),
    Column("agreement", String(128), nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("snapshot_id", String(64), nullable=False, unique=True),
    Column("core", Text, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
    Column("salt", LargeBinary(32), nullable=False),
    Column("log_index", BigInteger, nullable=True, unique=True),
    sa.UniqueConstraint("agreement", "sequence"),
    sqlite_autoincrement=True,
)

tiles = sa.Table(
    "tiles",
    metadata,
    Column("agreement", String(128), primary_key=True),
    Column("level", Integer, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("hashes", LargeBinary, nullable=False),
)

# Agreements whose snapshots some process is to bring up to date, and how often that
# was wanted: whoever built for an older wish leaves a newer one.
unbuilt = sa.Table(
    "unbuilt",
    metadata,
    Column("agreement", String(128), primary_key=True),
    Column("wanted", BigInteger, nullable=False),
)

# What one process of several does alone, and until when it may.
leases = sa.Table(
    "leases",
    metadata,
    Column("name", String(200), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until", BigInteger, nullable=False),
)

received_snapshots = sa.Table(
    "received_snapshots",
    metadata,
    Column("agreement", String(128), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("core", Text, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)

agreements = sa.Table(
    "agreements",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("role", String(8), nullable=False),
    Column("partner", String(256), nullable=False),
    Column("dataset", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("odrl", Text, nullable=False),
    Column("signatures", Text, nullable=False),
    Column("agreed_at", BigInteger, nullable=False),
)

declared = sa.Table(
    "declared_customers",
    metadata,
    Column("agreement", String(128), primary_key=True),
    Column("token", LargeBinary(32), primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("customer", String(256), nullable=True),
    Index("declared_by_customer", "agreement", "customer"),
)

declarations = sa.Table(
    "declarations",
    metadata,
    Column("agreement", String(128), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("hash", String(64), nullable=False),
    Column("tokens", LargeBinary, nullable=False),
)

probes = sa.Table(
    "probes",
    metadata,
    Column("agreement", String(128), primary_key=True),
    Column("token", LargeBinary(32), primary_key=True),
    Column("field", String(64), primary_key=True),
    Column("condition", LargeBinary(32), primary_key=True),
)

negotiations = sa.Table(
    "negotiations",
    metadata,
    Column("pid", String(128), primary_key=True),
    Column("provider_pid", String(128), nullable=False),
    Column("consumer_pid", String(128), nullable=False),
    Column("role", String(8), nullable=False),
    Column("partner", String(256), nullable=False),
    Column("state", String(16), nullable=False),
    Column("offer", Text, nullable=False),
    Column("agreement", Text, nullable=True),
    Column("opened", _serial, nullable=False),
)

nonces = sa.Table(
    "nonces",
    metadata,
    Column("issuer", String(256), primary_key=True),
    Column("nonce", String(86), primary_key=True),
    Column("until", BigInteger, nullable=False, index=True),
)

usage = sa.Table(
    "usage",
    metadata,
    Column("agreement", String(144), primary_key=True),
    Column("hour", BigInteger, primary_key=True),
    Column("calls", Integer, nullable=False),
)

streams = sa.Table(
    "streams",
    metadata,
    Column("stream", String(64), primary_key=True),
    Column("count", BigInteger, nullable=False),
    Column("head", String(64), nullable=False),
)

receipts = sa.Table(
    "receipts",
    metadata,
    Column("sequence", _serial, primary_key=True, autoincrement=True),
    Column("receipt_id", String(64), nullable=False, unique=True),
    Column("stream", String(64), nullable=False),
    Column("stream_sequence", BigInteger, nullable=False),
    # Erased content is null, here and in the columns below: what the receipt said,
    # and what opens its leaf. Its id, its places and `at` stay.
    Column("core", Text, nullable=True),
    Column("signature", LargeBinary(64), nullable=True),
    Column("salt", LargeBinary(32), nullable=True),
    Column("token", Text, nullable=True),
    Column("question", Text, nullable=True),
    Column("erased_at", BigInteger, nullable=True),
    Column("erased_why", Text, nullable=True),
    Column("log_index", BigInteger, nullable=True, unique=True),
    Column("countersigner", String(256), nullable=True),
    Column("countersignature", LargeBinary(64), nullable=True),
    Column("at", BigInteger, nullable=False),
    Column("partner", String(256), nullable=True, index=True),
    Column("agreement", String(128), nullable=True),
    Column("dataset", String(128), nullable=True),
    Column("purpose", String(128), nullable=True),
    Column("decision", String(8), nullable=True),
    Column("customers", Integer, nullable=True),
    Column("records", Integer, nullable=True),
    Column("plan", String(64), nullable=True),
    Column("took_ms", Integer, nullable=True),
    sa.UniqueConstraint("stream", "stream_sequence"),
    # Key figures are counted in these without looking at a row: rows are wide.
    Index("receipts_by_time", "at", "decision", "partner", "dataset", "erased_at"),
    Index("receipts_by_agreement", "agreement", "decision", "at"),
    # Few receipts are of steps of a plan.
    Index(
        "receipts_by_plan",
        "plan",
        "sequence",
        sqlite_where=sa.text("plan IS NOT NULL"),
        postgresql_where=sa.text("plan IS NOT NULL"),
    ),
    # The integrator asks for what has no index yet: a partial index keeps that
    # question as cheap at a million receipts as at ten.
    Index(
        "receipts_waiting",
        "sequence",
        sqlite_where=sa.text("log_index IS NULL"),
        postgresql_where=sa.text("log_index IS NULL"),
    ),
    # How many of a stream its consumer has not signed back is asked in every call.
    Index(
        "receipts_unacknowledged",
        "stream",
        sqlite_where=sa.text("countersignature IS NULL AND erased_at IS NULL"),
        postgresql_where=sa.text("countersignature IS NULL AND erased_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

receipt_fields = sa.Table(
    "receipt_fields",
    metadata,
    Column("sequence", _serial, primary_key=True),
    Column("field", String(64), primary_key=True),
    Index("receipt_fields_by_field", "field", "sequence"),
)

receipt_denials = sa.Table(
    "receipt_denials",
    metadata,
    Column("sequence", _serial, primary_key=True),
    Column("code", String(64), primary_key=True),
    Index("receipt_denials_by_code", "code", "sequence"),
)

received = sa.Table(
    "received",
    metadata,
    Column("sequence", _serial, primary_key=True, autoincrement=True),
    Column("receipt_id", String(64), nullable=False, unique=True),
    Column("stream", String(64), nullable=False),
    Column("stream_sequence", BigInteger, nullable=False),
    Column("nonce", String(86), nullable=True),
    Column("at", BigInteger, nullable=False),
    # As in `receipts`, content is null once it is erased; ids and places stay.
    Column("core", Text, nullable=True),
    Column("signature", LargeBinary(64), nullable=True),
    Column("verified", sa.Boolean, nullable=False),
    Column("checks", Text, nullable=True),
    Column("disclosure", Text, nullable=True),
    Column("plan", String(64), nullable=True),
    Column("erased_at", BigInteger, nullable=True),
    Column("erased_why", Text, nullable=True),
    # Ours, over a receipt that we checked; and whether its provider has it.
    Column("countersigner", String(256), nullable=True),
    Column("countersignature", LargeBinary(64), nullable=True),
    Column("delivered", sa.Boolean, nullable=False),
    # Two receipts of one place are kept: they prove that the provider wrote both.
    Index("received_by_stream", "stream", "stream_sequence"),
    Index(
        "received_by_plan",
        "plan",
        "sequence",
        sqlite_where=sa.text("plan IS NOT NULL"),
        postgresql_where=sa.text("plan IS NOT NULL"),
    ),
    Index(
        "received_undelivered",
        "stream",
        sqlite_where=sa.text("countersignature IS NOT NULL AND NOT delivered"),
        postgresql_where=sa.text("countersignature IS NOT NULL AND NOT delivered"),
    ),
    sqlite_autoincrement=True,
)

asked = sa.Table(
    "asked",
    metadata,
    Column("nonce", String(86), primary_key=True),
    Column("stream", String(64), nullable=False),
    Column("provider", String(256), nullable=False),
    Column("agreement", String(128), nullable=False),
    Column("request_hash", String(64), nullable=False),
    Column("token", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("receipt_id", String(64), nullable=True),
    Index("asked_by_stream", "stream"),
)

reconciled = sa.Table(
    "reconciled",
    metadata,
    Column("stream", String(64), primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("state", String(16), nullable=False),
    Column("report", Text, nullable=False),
)

alarms = sa.Table(
    "alarms",
    metadata,
    Column("row", _serial, primary_key=True, autoincrement=True),
    Column("code", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("detail", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("cleared_at", BigInteger, nullable=True),
    Column("cleared_why", Text, nullable=True),
    Index(
        "alarms_open",
        "code",
        "subject",
        unique=True,
        sqlite_where=sa.text("cleared_at IS NULL"),
        postgresql_where=sa.text("cleared_at IS NULL"),
    ),
    sqlite_autoincrement=True,
)

witnessed = sa.Table(
    "witnessed",
    metadata,
    Column("origin", String(256), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

# What was seen of logs, by size: another root of one size proves a second history.
met_checkpoints = sa.Table(
    "met_checkpoints",
    metadata,
    Column("origin", String(256), primary_key=True),
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

cosignatures = sa.Table(
    "cosignatures",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("witness", String(256), primary_key=True),
    Column("line", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

proofs_of_fault = sa.Table(
    "proofs_of_fault",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("participant", String(256), nullable=False),
    Column("proof", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

log_nodes = sa.Table(
    "log_nodes",
    metadata,
    Column("level", Integer, primary_key=True),
    Column("position", BigInteger, primary_key=True),
    Column("hash", LargeBinary(32), nullable=False),
)

checkpoints = sa.Table(
    "checkpoints",
    metadata,
    Column("size", BigInteger, primary_key=True, autoincrement=False),
    Column("root", LargeBinary(32), nullable=False),
    Column("note", Text, nullable=False),
    Column("at", BigInteger, nullable=False),
)

anchors = sa.Table(
    "anchors",
    metadata,
    # The account that was begun with last is the one that anchors now.
    Column("row", _serial, primary_key=True, autoincrement=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("contract", String(42), nullable=False),
    Column("member", String(42), nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("note", Text, nullable=False),
    Column("salt", LargeBinary(32), nullable=False),
    Column("commitment", LargeBinary(32), nullable=False),
    Column("at", BigInteger, nullable=False),
    # queued → signed → sent → mined → final. What was signed is kept before it is sent.
    Column("state", String(8), nullable=False),
    Column("nonce", BigInteger, nullable=True),
    Column("raw", LargeBinary, nullable=True),
    Column("transaction_hash", String(66), nullable=True),
    Column("signed_at", BigInteger, nullable=True),
    Column("block", BigInteger, nullable=True),
    Column("block_hash", String(66), nullable=True),
    sa.UniqueConstraint("chain_id", "contract", "member", "epoch"),
    Index("anchors_by_size", "size"),
    # Few anchors are under way, however many there are.
    Index(
        "anchors_open",
        "epoch",
        sqlite_where=sa.text("state NOT IN ('final', 'adopted')"),
        postgresql_where=sa.text("state NOT IN ('final', 'adopted')"),
    ),
    sqlite_autoincrement=True,
)

# Budgets of privacy, in micro-epsilon. What was spent never becomes less, but for
# reservations from which nothing was computed.
budgets = sa.Table(
    "budgets",
    metadata,
    Column("account", String(160), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("cap", BigInteger, nullable=False),
    Column("spent", BigInteger, nullable=False),
)

spendings = sa.Table(
    "spendings",
    metadata,
    Column("row", _serial, primary_key=True, autoincrement=True),
    Column("plan", String(64), nullable=False, unique=True),
    Column("query", String(64), nullable=False),
    Column("agreement", String(128), nullable=False),
    Column("dataset", String(64), nullable=False),
    Column("core", Text, nullable=False),
    Column("epsilon_micro", BigInteger, nullable=False),
    # What it was taken from, as JSON: periods end while plans are under way.
    Column("accounts", Text, nullable=False),
    Column("roster", Text, nullable=False),
    Column("committed", sa.Boolean, nullable=False),
    # Whether a receipt says so: each charge stands in one.
    Column("told", sa.Boolean, nullable=False),
    Column("at", BigInteger, nullable=False),
    Index("spendings_by_agreement", "agreement", "at"),
    sqlite_autoincrement=True,
)

jobs = sa.Table(
    "jobs",
    metadata,
    Column("row", _serial, primary_key=True, autoincrement=True),
    Column("id", String(32), nullable=False, unique=True),
    Column("kind", String(32), nullable=False),
    Column("role", String(8), nullable=False),
    Column("plan", String(64), nullable=False),
    Column("partner", String(256), nullable=False),
    Column("core", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("stage", String(64), nullable=False),
    Column("done", BigInteger, nullable=False),
    Column("total", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("told", Text, nullable=False),
    sa.UniqueConstraint("plan", "role"),
    Index(
        "jobs_running",
        "row",
        sqlite_where=sa.text("state = 'running'"),
        postgresql_where=sa.text("state = 'running'"),
    ),
    sqlite_autoincrement=True,
)

# What stages of jobs have made: ciphertexts and points, up to megabytes each.
job_parts = sa.Table(
    "job_parts",
    metadata,
    Column("job", String(32), primary_key=True),
    Column("stage", String(64), primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("octets", LargeBinary, nullable=False),
)
