"""Every error that Podium raises on purpose.

    PodiumError                      never retried, unless it is a TransientError too
    ├── ConfigurationError           put together wrongly: raised when built, before anything runs (a ValueError)
    │   ├── UnknownAgentError        a name that no agent of the team has
    │   ├── InvalidPlanError         steps that cannot be run; lists everything wrong with them
    │   ├── ChangedCodeError         a stored run that this code cannot go on with; says what has changed; ends a run
    │   └── TeamFileError            a team file that cannot be used; says file and line
    ├── NoModelError                 no chat model is configured; says what to set
    ├── DecisionError                a model gave no decision of the wanted form
    ├── BudgetError                  the run's budget is used up, so no new call is made
    ├── StorageError                 what was done cannot be stored or read back; ends a run at once
    ├── ThreadBusyError              another run works on the same thread of the same storage
    ├── AgentError                   an agent gave no usable answer (refused, cut off, in circles, rejected by a check)
    │   └── EmptyReplyError          ... nothing at all; also a TransientError
    └── TransientError               may succeed the next time, so it is retried

Errors of others (a provider's, a tool's) are kept as they are; `agents.runtime` decides which of them are retried.
While a graph runs, errors end in its state (`status`, `errors`); only wrong construction, a call without a request
and lost storage raise.
"""

from agents.errors import (
    AgentError,
    BudgetError,
    ChangedCodeError,
    ConfigurationError,
    DecisionError,
    EmptyReplyError,
    NoModelError,
    PodiumError,
    StorageError,
    TeamFileError,
    TransientError,
    UnknownAgentError,
)


class InvalidPlanError(ConfigurationError):
    """Steps that cannot be run."""

    def __init__(self, findings: list[str]) -> None:
        super().__init__("These steps cannot be run:\n" + "\n".join(f"- {finding}" for finding in findings))
        self.findings = findings
        """One sentence for each thing that is wrong."""


class ThreadBusyError(PodiumError):
    """Another run works on the thread, and this one was not to wait for it."""


__all__ = [
    "AgentError",
    "BudgetError",
    "ChangedCodeError",
    "ConfigurationError",
    "DecisionError",
    "EmptyReplyError",
    "InvalidPlanError",
    "NoModelError",
    "PodiumError",
    "StorageError",
    "TeamFileError",
    "ThreadBusyError",
    "TransientError",
    "UnknownAgentError",
]
