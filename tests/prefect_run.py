"""Runs a workflow behind Prefect, with a temporary server of its own, and prints its status and its task runs."""

import time

from prefect.client.orchestration import get_client
from prefect.task_runners import ThreadPoolTaskRunner

from graphs import Workflow
from graphs.distributed import PrefectExecutor, on

steps = [{"id": name, "agent": name, "task": "Do it"} for name in ("writer", "clerk")]
with PrefectExecutor(ThreadPoolTaskRunner(2)) as executor, get_client(sync_client=True) as client:
    graph = Workflow(steps, agents=on(executor, "tests.remote_team:agents")).compile()
    print(graph.invoke({"messages": []})["status"])
    while len(runs := client.read_task_runs()) < len(steps):
        time.sleep(0.1)  # Prefect records them a little later
    print(*sorted(run.name for run in runs))
