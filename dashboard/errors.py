"""What can go wrong in the dashboard, by who is at fault.

    DashboardError
    ├── SettingsError        the settings file: names the entry and the mend
    ├── NotFound             the reader asked for something that is not there
    ├── Gone                 what a receipt said, which the node has erased
    └── NodeError            the node, as the dashboard sees it
        ├── NodeUnreachable  no answer, or not in time
        ├── NodeFailed       it answered that it failed
        ├── NodeRefused      it answered that this dashboard may not ask
        └── NodeNonsense     it answered something that is not the audit API

None of them reaches a reader as a stack trace: `pages.problems` says what
failed, whether anything was lost, and how old the newest figures are.
"""


class DashboardError(Exception):
    """Base of everything that the dashboard refuses or misses."""


class SettingsError(DashboardError):
    """The settings file, or a file that it names, cannot be used."""


class NotFound(DashboardError):
    """There is no such page, receipt or call."""


class Gone(DashboardError):
    """The node has erased what the receipt said."""


class NodeError(DashboardError):
    """The node did not give the answer that was needed."""

    code = "unknown"


class NodeUnreachable(NodeError):
    """The node gave no answer in time."""

    code = "unreachable"


class NodeFailed(NodeError):
    """The node answered that it cannot answer now."""

    code = "failing"


class NodeRefused(NodeError):
    """The node does not accept the dashboard's audit token."""

    code = "refused"


class NodeNonsense(NodeError):
    """The node's answer is not one of the audit API."""

    code = "nonsense"
