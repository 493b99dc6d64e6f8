"""What the node asks of the world. Each docstring states the implementer's duty.

Services see these protocols and nothing else; `node.bootstrap` chooses what
stands behind them.

Transactions are functions of a `UnitOfWork`: committed once, when the function
returns; undone when it raises. They are synchronous and run in threads, so that a
transaction costs the event loop one hop and not one for each statement.
"""

from node.ports.calls import (
    Content,
    Erasable,
    Erasure,
    LogEntry,
    Owed,
    Receipts,
    Received,
    SentCall,
    StepReceipt,
)
from node.ports.data import (
    Agreements,
    Datasets,
    Declaration,
    KeptAgreement,
    KeptSnapshot,
    Leaf,
    Publication,
    Record,
    Seal,
    SealPlace,
    Snapshots,
)
from node.ports.log import (
    AnchorState,
    Log,
    StoredAnchor,
    StoredCheckpoint,
    Turns,
    Waiting,
)
from node.ports.others import (
    Alarm,
    Alarms,
    Cosigned,
    Fault,
    Faults,
    Reconciled,
    StreamCopy,
    StreamEntry,
    Streams,
    Witness,
    Witnessed,
)
from node.ports.store import Audit, Store, UnitOfWork
from node.ports.world import (
    BytesReply,
    Clock,
    Identity,
    KeyRegistry,
    Peers,
    PolicyDecisionPoint,
    Randomness,
    RecordSource,
    Reply,
    Sources,
    TextReply,
)

__all__ = [
    "Agreements",
    "Alarm",
    "Alarms",
    "AnchorState",
    "Audit",
    "BytesReply",
    "Clock",
    "Content",
    "Cosigned",
    "Datasets",
    "Declaration",
    "Erasable",
    "Erasure",
    "Fault",
    "Faults",
    "Identity",
    "KeptAgreement",
    "KeptSnapshot",
    "KeyRegistry",
    "Leaf",
    "Log",
    "LogEntry",
    "Owed",
    "Peers",
    "PolicyDecisionPoint",
    "Publication",
    "Randomness",
    "Receipts",
    "Received",
    "Reconciled",
    "Record",
    "RecordSource",
    "Reply",
    "Seal",
    "SealPlace",
    "SentCall",
    "Snapshots",
    "Sources",
    "StepReceipt",
    "Store",
    "StoredAnchor",
    "StoredCheckpoint",
    "StreamCopy",
    "StreamEntry",
    "Streams",
    "TextReply",
    "Turns",
    "UnitOfWork",
    "Waiting",
    "Witness",
    "Witnessed",
]
