"""The machinery of calls: sync and async from one definition, cancellation, retries, usage, errors, safe texts.

Sync and async
sync_async       one coroutine behind `invoke` and `ainvoke`, or `stream` and `astream`
effects          what such a coroutine may wait for; background: the loop on which it works for sync callers
cancellation     abandoned work starts nothing new
run_config       the config of a run, and named results of calculations in it
scope            what the agents of one run share, closed at its end

Failures and retries
retry            model calls repeated in place, back-off; attempts: whole work repeated, time-outs
rate_limit       after a 429 all calls of a model wait as its server asked
provider_errors  whether a failed call may be repeated, and what to say of it; replies: replies that are not answers

Data
per_model        what a process knows of a model
sanitize         text and data that can be stored and shown

Packages
lazy             imports at first use, and the command that installs an extra
langchain_internals  what depends on undocumented behaviour of LangChain
"""

from agents.runtime.attempts import AttemptOutcome, Attempts
from agents.runtime.background import (
    in_thread,
    iterate_in_background,
    run_in_background,
    start_in_background,
    sync_caller,
)
from agents.runtime.cancellation import Cancellation, WorkCancelledError, cancellations_of, is_cancelled
from agents.runtime.effects import AnyRunnable, Effects, call, is_async
from agents.runtime.lazy import install_hint, lazily
from agents.runtime.per_model import innermost, per_model
from agents.runtime.provider_errors import evidence, explain, is_rejection, is_transient, provider_words, raised_ending
from agents.runtime.replies import check_reply, is_json
from agents.runtime.retry import FailedAttempt, InPlace, Retry, in_place, is_exhausted
from agents.runtime.run_config import CALCULATED, Names, calculated, current, extended, handlers_of, names_for
from agents.runtime.sanitize import JsonObject, clean, clean_data, masked, reads_foreign_text, visible
from agents.runtime.scope import RunScope, in_run_scope, run_scope
from agents.runtime.sync_async import OwnRun, SyncAsyncRunnable, SyncAsyncStream, effects_of, is_watched

__all__ = [
    "CALCULATED",
    "AnyRunnable",
    "AttemptOutcome",
    "Attempts",
    "Cancellation",
    "Effects",
    "FailedAttempt",
    "InPlace",
    "JsonObject",
    "Names",
    "OwnRun",
    "Retry",
    "RunScope",
    "SyncAsyncRunnable",
    "SyncAsyncStream",
    "WorkCancelledError",
    "calculated",
    "call",
    "cancellations_of",
    "check_reply",
    "clean",
    "clean_data",
    "current",
    "effects_of",
    "evidence",
    "explain",
    "extended",
    "handlers_of",
    "in_place",
    "in_run_scope",
    "in_thread",
    "innermost",
    "install_hint",
    "is_async",
    "is_cancelled",
    "is_exhausted",
    "is_json",
    "is_rejection",
    "is_transient",
    "is_watched",
    "iterate_in_background",
    "lazily",
    "masked",
    "names_for",
    "per_model",
    "provider_words",
    "raised_ending",
    "reads_foreign_text",
    "run_in_background",
    "run_scope",
    "start_in_background",
    "sync_caller",
    "visible",
]
