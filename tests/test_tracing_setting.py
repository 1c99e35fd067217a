"""The one setting, where people use it: in a script, for the command, in an application, in the server."""

import signal
from typing import Any

from langgraph_sdk import get_sync_client

from tests.collector import Collector
from tests.office import Office
from tests.processes import Done, Processes
from tests.server_process import Desk, ServerProcess
from tests.waiting import until

NEW = """
import sys
for name in [name for name in sys.modules if name.partition(".")[0] in ("agents", "graphs")]:
    del sys.modules[name]  # imported before the variables were set
"""


def test_one_variable_is_enough_for_the_command_which_sends_what_it_has_when_it_is_interrupted(
    processes: Processes,
) -> None:
    with Collector() as collector, Office(slow="two") as office:
        settings = {"PODIUM_TRACING": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_SERVICE_NAME": "shop"}
        command = NEW + "import graphs.cli; graphs.cli.main(['Write it'])"
        run = processes.start(script=command, **settings, **office.environment)
        until(lambda: "two" in office.asked)
        run.send(signal.SIGINT)
        run.wait()
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


def test_the_provider_of_an_application_is_used(processes: Processes) -> None:
    assert processes.start(script=NEW + APPLICATION, PODIUM_TRACING="1").wait() == Done(0, "agent:clock;", "")


WITHOUT_THE_EXTRA = """
import os
for name in [name for name in sys.modules if name.partition(".")[0] in ("opentelemetry", "openinference")]:
    del sys.modules[name]
sys.modules["opentelemetry"] = None
import agents
os.environ["PODIUM_TRACING"] = "1"
for name in [name for name in sys.modules if name.partition(".")[0] == "agents"]:
    del sys.modules[name]
print("imported without tracing", flush=True)
import agents
"""


def test_without_the_extra_there_is_one_clear_error(processes: Processes) -> None:
    done = processes.start(script=NEW + WITHOUT_THE_EXTRA).wait()
    assert done.out == "imported without tracing\n"
    last = done.told.splitlines()[-1]
    assert last.startswith("agents.errors.ConfigurationError: Tracing needs OpenTelemetry: pip install -e '")
