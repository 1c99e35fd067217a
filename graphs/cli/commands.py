"""Every command with its options, and what its errors look like; a command loads what it needs when it runs."""

import os
import re
import sys
import traceback
from collections.abc import Sequence
from difflib import get_close_matches

from cyclopts import App, CycloptsError, UnknownOptionError, UnusedCliTokensError

from graphs.cli.exit_codes import BAD_USAGE, COMPLETED, FAILED, PARTIAL, TRACEBACK
from graphs.cli.options import Choices, PatternOption, Request, Shown, Thread
from graphs.cli.signals import interrupted

HELP = """Give a request to a team of AI agents and get one answer.

For example:
  podium "Compare tea and coffee for a morning drink"
  podium "Sum up notes.txt" --json > result.json
  podium runs; podium show; podium resume RUN
  podium new my-team

The model is the one that --model or PODIUM_MODEL names, else OpenAI's or that of OPENAI_BASE_URL, else the local \
one, which runs on this machine without a key; it is small, answers simply and sometimes wrongly.

Every run is stored (in the file that PODIUM_RUNS names, else among the user's data) under the id that is printed when \
it starts. One that was killed, interrupted or asks something goes on with `podium resume RUN`; nothing that was \
finished runs again. --thread NAME continues a conversation.

The answer goes to stdout, everything else to stderr.
Exit codes: 0 completed, 1 failed, 2 bad usage, 3 partly done, escalated or interrupted, 4 needs input."""

_IN_OPTIONS = (
    (re.compile(r"\bmax_(calls|tokens|seconds|cost)\b"), r"--max-\1"),
    (re.compile(r"prices: \{.*?\} per million tokens"), "prices: --price model=in,out, per million tokens"),
    (
        re.compile(r"""^Invalid value for "?(--\S+?)"?: unable to convert "(.*)" into (int|float)\.$"""),
        r"\1 takes a number, not '\2'.",
    ),
    (re.compile(r"""^(?:Command "\w+" p|P)arameter (--\S+) requires an argument\.$"""), r"\1 needs a value."),
    (re.compile(r"""^Command "(\w+)" parameter (\S+) requires an argument\.$"""), r"podium \1 needs \2."),
)
"""Names of Python in messages, and what they are called here."""

_MEANT = {"help": "--help", "version": "--version", "list": "runs", "history": "runs", "init": "new my-team"}
"""Commands of other programs, and what they are called here."""

_COMMANDS = {
    "start:run": "Run a request by a graph of your own, as module:name; shown and stored like every run.",
    "project:new": "Make a small project of your own: a team, a test, a notebook and what Studio needs.",
    "start:draw": "Print a graph as Mermaid or SVG; needs no model.",
    "start:team": "List the agents of the team with their tools.",
    "runs:runs": "List the stored runs, newest first.",
    "runs:show": "Show a stored run: its plan, steps, reviews, route, handoffs, errors, cost and answer.",
    "runs:inbox": "List the questions of all stored runs that wait for a person.",
    "runs:resume": "Go on with a run that was killed or interrupted, or that waits for a person.",
    "queued:watch": "Follow a run of the queue from any machine, and print its answer.",
    "queued:cancel": "Cancel a run of the queue that waits or is at work, or a schedule.",
    "queued:worker": "Do the runs of the queue, until SIGTERM or Ctrl-C.",
    "runs:fork": "Start a copy of a run again from a point; what was finished before it is kept.",
    "evaluate:eval": "Run patterns on cases with known answers: is orchestration worth it?",
    "models:pull": "Fetch and verify the weights of a local model.",
    "models:list": "List the local models, and which of them are on this machine.",
    "runs:prune": "Reduce stored runs that have ended to their result; they can then no longer be forked.",
}
"""Summaries by module and name of the command, whose function `…_command` is loaded when it runs."""


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("podium")
    except PackageNotFoundError:
        return "not installed as a package"


podium = App(
    name="podium",
    help=HELP,
    help_format="plaintext",
    version=_version,
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
    suppress_keyboard_interrupt=False,
)
podium.register_install_completion_command()
models = App(name="model", help="Fetch and list the local models, which need no key.", help_format="plaintext")
podium.command(models)
for place, summary in _COMMANDS.items():
    module, _, name = place.partition(":")
    app = models if module == "models" else podium
    app.command(f"graphs.cli.{place}_command", name=name, help=summary)


@podium.default
def answer(
    request: Request = None,
    /,
    *,
    pattern: PatternOption = None,
    choices: Choices = Choices(),  # noqa: B008 - frozen
    thread: Thread = Thread(),  # noqa: B008 - frozen
    shown: Shown = Shown(),  # noqa: B008 - frozen
) -> int:
    """Run a request."""
    if request is None and sys.stdin is not None and sys.stdin.isatty():
        podium.help_print()
        return COMPLETED
    if request and request != "-" and request.startswith("-") and len(request.split()) == 1:
        return _complain(misspelt_option([request]) or f"Unknown option {request}.", BAD_USAGE)
    from graphs.cli.start import ask

    return ask(request, pattern, choices, thread, shown)


def dispatch(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code; an error is a line on stderr, an unexpected one with a traceback."""
    tokens = sys.argv[1:] if arguments is None else list(arguments)
    if not os.environ.get("COLUMNS", "80").strip("0"):  # in no columns rich would print nothing
        del os.environ["COLUMNS"]
    try:
        if misspelt := misspelt_command(tokens):
            return _complain(misspelt, BAD_USAGE)
        code = podium(tokens)
    except KeyboardInterrupt:
        return _complain("interrupted", PARTIAL)
    except Exception as error:
        return _explained(error, tokens)
    return PARTIAL if interrupted.is_set() else code or COMPLETED


def misspelt_command(tokens: Sequence[str]) -> str:
    """Say which command was meant, where the first word is nearly one; a request of one word is rarely meant."""
    word = tokens[0] if tokens else ""
    names = [name for name in podium if not name.startswith("-")]
    close = [_MEANT[word]] if tokens == [word] and word in _MEANT else get_close_matches(word, names, cutoff=0.7)
    if word in names or not close or not word.isidentifier():
        return ""
    return f"Unknown command {word!r}; did you mean `podium {close[0]}`? As a request: echo {word} | podium -"


def misspelt_option(tokens: Sequence[str]) -> str:
    """Say which option does not exist, where it was taken for the request; else nothing."""
    for option in tokens:
        if option.startswith("--") and len(option.split()) == 1:
            try:
                podium.parse_args(["-", option], exit_on_error=False, print_error=False)
            except UnknownOptionError as error:
                return f"{error} `podium --help` lists them."
            except CycloptsError:  # it exists, and lacks its value
                continue
    return ""


def _explained(error: Exception, tokens: Sequence[str]) -> int:
    if isinstance(error, BrokenPipeError):  # the reader of the output has gone
        return FAILED
    if isinstance(error, UnusedCliTokensError):
        return _complain(misspelt_option(tokens) or _unused(error.unused_tokens or tokens, tokens[0]), BAD_USAGE)
    if isinstance(error, CycloptsError):
        return _complain(str(error), BAD_USAGE)
    if isinstance(error, OSError):
        return _complain(str(error), FAILED)
    from agents.errors import ConfigurationError, NoModelError, PodiumError
    from agents.runtime import explain

    if not isinstance(error, PodiumError):
        reads_runs = any(f"runs:{word}" in _COMMANDS for word in tokens[:1])
        if os.environ.get(TRACEBACK) or not reads_runs:
            sys.stderr.write(_escaped("".join(traceback.format_exception(error))))
        what = f"What is stored cannot be used; it may be damaged ({TRACEBACK}=1 shows where)." if reads_runs else ""
        return _complain(f"{what} {explain(error)}".strip(), FAILED)
    return _complain(str(error), BAD_USAGE if isinstance(error, ConfigurationError | NoModelError) else FAILED)


def _unused(words: Sequence[str], command: str) -> str:
    if command == "run" or command not in podium:
        return "Put the whole request in quotes."
    return f"podium {command} takes no {words[0]!r}; `podium {command} --help` shows what it takes."


def _complain(message: str, code: int) -> int:
    for pattern, words in _IN_OPTIONS:
        message = pattern.sub(words, message)
    sys.stderr.write(f"podium: {_escaped(message)}\n")
    return code


def _escaped(text: str) -> str:
    """Return a text with hidden characters escaped; that of agents.runtime would load LangChain."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else ascii(letter)[1:-1] for letter in text)
