"""Runs a workflow behind Prefect, with a temporary server of its own, and prints its status and its task runs."""

from prefect.client.orchestration import get_client
from prefect.task_runners import ThreadPoolTaskRunner

from graphs import Workflow
from graphs.distributed import PrefectExecutor, on
from tests.waiting import until

steps = [{"id": name, "agent": name, "task": "Do it"} for name in ("writer", "clerk")]
with PrefectExecutor(ThreadPoolTaskRunner(2)) as executor, get_client(sync_client=True) as client:
    graph = Workflow(steps, agents=on(executor, "tests.remote_team:agents")).compile()
    print(graph.invoke({"messages": []})["status"])
    names = ["clerk", "writer"]
    until(lambda: sorted(run.name for run in client.read_task_runs()) == names)  # Prefect records them a little later
    print(*names)
