"""Prefect as an executor: each assignment is a task run, named after its agent, in Prefect's UI."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from prefect import Task
    from prefect.futures import PrefectFuture
    from prefect.task_runners import TaskRunner


class PrefectExecutor:
    """Runs each assignment as a Prefect task, wherever the task runner puts it.

    Args:
        task_runner: One of Prefect's: `ProcessPoolTaskRunner()` on this machine, `DaskTaskRunner(address)` of
            prefect-dask or `RayTaskRunner(address)` of prefect-ray on others.

    It runs from `with` to its end. Repeating is left to the steps: Prefect retries and caches none of these tasks.
    """

    def __init__(self, task_runner: TaskRunner[Any]) -> None:
        self.task_runner = task_runner

    def __enter__(self) -> Self:
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            client.hello()  # a temporary server of Prefect's starts here, once: tasks at once would each start one
        self.task_runner.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self.task_runner.__exit__(*failure)

    def submit(self, function: Callable[..., bytes], /, *arguments: object) -> PrefectFuture[bytes]:
        """Submit a task run.

        Raises:
            RuntimeError: The task runner has not begun, or has ended.
        """
        parameters = inspect.signature(function).bind(*arguments).arguments
        future: PrefectFuture[bytes] = self.task_runner.submit(_task(function), parameters)
        return future


@cache
def _task(function: Callable[..., bytes]) -> Task[..., bytes]:
    from prefect import Task
    from prefect.cache_policies import NO_CACHE

    return Task(
        function, name="assignment", task_run_name="{agent}", cache_policy=NO_CACHE, retries=0, persist_result=False
    )
