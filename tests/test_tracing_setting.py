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


def test_one_variable_is_enough_for_the_command(tmp_path: Path) -> None:
    with Collector() as collector, Office() as office:
        settings = {"PODIUM_TRACING": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "shop"}
        done = run(
            "-m", "graphs.cli", "Write it", PODIUM_RUNS=str(tmp_path / "runs.sqlite"), **office.environment, **settings
        )
    assert done.returncode == 0, done.stderr
    assert collector.services == {"shop"}
    assert {"orchestrator", "triage", "one", "agent:writer", "ChatOpenAI"} <= {span.name for span in collector.spans}


def test_an_interrupted_command_sends_what_it_has(tmp_path: Path) -> None:
    with Collector() as collector, Office(slow="one") as office:
        settings = {"PODIUM_TRACING": collector.url, "PODIUM_RUNS": str(tmp_path / "runs.sqlite")}
        command = [sys.executable, "-m", "graphs.cli", "Write it"]
        streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(command, env=surroundings({**office.environment, **settings}), **streams) as process:
            until(lambda: "one" in office.asked)
            process.send_signal(signal.SIGINT)
        run_span = next(span for span in collector.spans if span.name == "orchestrator")
    assert run_span.status.message == "CancelledError()"


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


def test_without_the_extra_there_is_one_clear_error() -> None:
    missing = "import sys; sys.modules['opentelemetry'] = None; import agents"
    assert run("-c", missing).stderr == ""
    last = run("-c", missing, PODIUM_TRACING="1").stderr.splitlines()[-1]
    assert last.startswith("agents.errors.ConfigurationError: Tracing needs OpenTelemetry: pip install -e '.[tracing]'")
