"""Runs a workflow behind Prefect, with a server in this process, and prints its status and its task runs.

The server keeps its database in PREFECT_HOME.
"""

import asyncio
import os
import socket
import threading

with socket.create_server(("127.0.0.1", 0)) as reserved:
    PORT = reserved.getsockname()[1]
UNUSED = ("SCHEDULER", "LATE_RUNS", "PAUSE_EXPIRATIONS", "CANCELLATION_CLEANUP", "FOREMAN", "TRIGGERS")
UNUSED += ("EVENT_PERSISTER",)
os.environ |= {f"PREFECT_SERVER_SERVICES_{name}_ENABLED": "false" for name in UNUSED}
os.environ |= {
    "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
    "PREFECT_SERVER_DATABASE_MIGRATE_ON_START": "false",  # which makes an empty database in two hundred steps
    "PREFECT_SERVER_UI_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}

import uvicorn  # noqa: E402
from prefect.client.orchestration import get_client  # noqa: E402
from prefect.server.api.server import create_app  # noqa: E402
from prefect.server.database import provide_database_interface  # noqa: E402
from prefect.task_runners import ThreadPoolTaskRunner  # noqa: E402

from graphs import Workflow  # noqa: E402
from graphs.distributed import PrefectExecutor, on  # noqa: E402
from tests.waiting import until  # noqa: E402


async def make_tables() -> None:
    database = provide_database_interface()
    for table in database.Base.metadata.tables.values():
        named = {index.name: index for index in table.indexes}
        table.indexes &= set(named.values())  # Prefect names some of them twice
    engine = await database.engine()
    async with engine.begin() as connection:
        await connection.run_sync(database.Base.metadata.create_all)
    await engine.dispose()


asyncio.run(make_tables())
server = uvicorn.Server(uvicorn.Config(create_app(), port=PORT, log_level="error"))
thread = threading.Thread(target=server.run)
thread.start()
until(lambda: server.started)
steps = [{"id": name, "agent": name, "task": "Do it"} for name in ("writer", "clerk")]
with PrefectExecutor(ThreadPoolTaskRunner(2)) as executor, get_client(sync_client=True) as client:
    graph = Workflow(steps, agents=on(executor, "tests.remote_team:agents")).compile()
    print(graph.invoke({"messages": []})["status"])
    names = ["clerk", "writer"]
    until(lambda: sorted(run.name for run in client.read_task_runs()) == names)  # Prefect records them a little later
    print(*names)
server.should_exit = True
thread.join()
