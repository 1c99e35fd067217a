"""The one setting, where people use it: in a script, for the command, in an application, in the server."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from langgraph_sdk import get_sync_client

from tests.collector import Collector
from tests.office import Office
from tests.server_process import Desk, ServerProcess
from tests.waiting import PATIENCE, until

ROOT = Path(__file__).parent.parent


def surroundings(environment: dict[str, str]) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "PODIUM", "OPENAI"))}
    return {**plain, "PYTHONPATH": str(ROOT), **environment}


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, *command)
    settings = surroundings(environment)
    return subprocess.run(command, env=settings, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_one_variable_is_enough_for_the_command_which_sends_what_it_has_when_it_is_interrupted(tmp_path: Path) -> None:
    with Collector() as collector, Office(slow="two") as office:
        settings = {"PODIUM_TRACING": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "shop"}
        environment = {**office.environment, **settings, "PODIUM_RUNS": str(tmp_path / "runs.sqlite")}
        command = [sys.executable, "-m", "graphs.cli", "Write it"]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=surroundings(environment), **streams) as process:
            until(lambda: "two" in office.asked)
            process.send_signal(signal.SIGINT)
    assert collector.services == {"shop"}
    spans = {span.name: span for span in collector.spans}
    assert {"triage", "one", "agent:writer", "ChatOpenAI"} <= spans.keys()
    assert spans["orchestrator"].status.message == "CancelledError()"


def test_the_server_traces_its_runs(langgraph: ServerProcess, desk: Desk, collector: Collector) -> None:
    with get_sync_client(url=langgraph.url) as client:
        thread = client.threads.create()["thread_id"]
        client.runs.wait(thread, "planner", input={"messages": "Write it"})

    def names() -> set[str]:
        return {span.name for span in collector.spans if ("session.id", thread) in attributes(span)}

    until(lambda: "planner" in names())  # the last to end
    assert {"one", "agent:writer", "ChatOpenAI"} <= names()


def attributes(span: Any) -> set[tuple[str, str]]:
    return {(attribute.key, attribute.value.string_value) for attribute in span.attributes}


APPLICATION = """
import agents
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, ConsoleSpanExporter
provider = TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(formatter=lambda span: span.name + ";")))
trace.set_tracer_provider(provider)
agents.Agent("clock", function=lambda: "noon").invoke("x")
"""


def test_the_provider_of_an_application_is_used() -> None:
    assert run("-c", APPLICATION, PODIUM_TRACING="1").stdout == "agent:clock;"


WITHOUT_THE_EXTRA = """
import os, sys
sys.modules["opentelemetry"] = None
import agents
os.environ["PODIUM_TRACING"] = "1"
for name in [name for name in sys.modules if name.partition(".")[0] == "agents"]:
    del sys.modules[name]
print("imported without tracing", flush=True)
import agents
"""


def test_without_the_extra_there_is_one_clear_error() -> None:
    done = run("-c", WITHOUT_THE_EXTRA)
    assert done.stdout == "imported without tracing\n"
    last = done.stderr.splitlines()[-1]
    assert last.startswith("agents.errors.ConfigurationError: Tracing needs OpenTelemetry: pip install -e '.[tracing]'")
