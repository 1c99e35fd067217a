"""One coroutine serves sync and async callers."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest
from langchain_core.runnables import RunnableConfig, RunnableGenerator, RunnableLambda

from agents.runtime import Effects, SyncAsyncRunnable, run_in_background
from tests.waiting import PATIENCE

who: ContextVar[str] = ContextVar("who", default="nobody")


class Using(SyncAsyncRunnable[Any, Any]):
    """A `SyncAsyncRunnable` whose work is given as a function of its Effects object."""

    def __init__(self, work: Callable[[Effects, Any], Any]) -> None:
        self.work = work

    async def run(self, effects: Effects, value: Any, config: RunnableConfig) -> Any:
        return await self.work(effects, value)


async def async_double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


def double(number: int) -> int:
    return 2 * number


async def call_everything(effects: Effects, value: int) -> list[int]:
    return [
        await effects.invoke(RunnableLambda(double, afunc=async_double), value, None),
        await effects.function(double, value),
        await effects.coroutine(async_double, value),
    ]


def test_runnables_functions_and_async_functions_are_called(call: Any) -> None:
    assert call(Using(call_everything), 4) == [8, 8, 8]


def test_a_batch_is_a_batch_of_runs() -> None:
    assert Using(call_everything).batch([1, 2]) == [[2, 2, 2], [4, 4, 4]]
    assert asyncio.run(Using(call_everything).abatch([1, 2])) == [[2, 2, 2], [4, 4, 4]]


async def fail(effects: Effects, value: Any) -> Any:
    return await effects.coroutine(async_fail)


async def async_fail() -> None:
    raise LookupError("gone")


def test_errors_pass_through(call: Any) -> None:
    with pytest.raises(LookupError, match="gone"):
        call(Using(fail), None)


async def read_context(effects: Effects, value: Any) -> list[str]:
    async def async_who() -> str:
        return who.get()

    return [await effects.function(who.get), await effects.coroutine(async_who), await of(effects)]


async def of(effects: Effects) -> str:
    return await effects.function(who.get)


def test_context_variables_reach_functions_in_any_thread(call: Any) -> None:
    token = who.set("ada")
    try:
        assert call(Using(read_context), None) == ["ada", "ada", "ada"]
    finally:
        who.reset(token)


async def hang(effects: Effects, value: threading.Event) -> Any:
    async with asyncio.timeout(0.02):
        return await effects.function(value.wait, PATIENCE)


def test_work_is_given_up_after_its_time() -> None:
    event = threading.Event()
    with pytest.raises(TimeoutError):
        Using(hang).invoke(event)
    event.set()


def test_a_stream_is_given_up_after_its_time() -> None:
    event = threading.Event()

    def wait(chunks: Any) -> Any:
        yield from (event.wait(PATIENCE) for _ in chunks)

    async def listen(effects: Effects) -> None:
        async for _ in effects.stream(RunnableGenerator(wait), 1, None):
            pass

    async def within(effects: Effects, value: Any) -> Any:
        async with asyncio.timeout(0.02):
            return await listen(effects)

    with pytest.raises(TimeoutError):
        Using(within).invoke(None)
    event.set()


def test_async_work_is_cancelled_after_its_time() -> None:
    seen: list[str] = []

    async def never() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async def within(effects: Effects, value: Any) -> Any:
        async with asyncio.timeout(0.02):
            return await effects.coroutine(never)

    with pytest.raises(TimeoutError):
        asyncio.run(Using(within).ainvoke(None))
    assert seen == ["cancelled"]


async def in_time(effects: Effects, value: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await effects.coroutine(async_double, value)


def test_work_within_its_time_gives_its_result(call: Any) -> None:
    assert call(Using(in_time), 2) == 4


async def fail_in_time(effects: Effects, value: Any) -> Any:
    async with asyncio.timeout(PATIENCE):
        return await effects.coroutine(async_fail)


def test_an_error_within_the_time_is_raised(call: Any) -> None:
    with pytest.raises(LookupError, match="gone"):
        call(Using(fail_in_time), None)


async def nap(effects: Effects, value: float) -> None:
    await effects.sleep(value)


def test_sleeping_takes_its_time(call: Any) -> None:
    start = time.monotonic()
    call(Using(nap), 0.02)
    assert time.monotonic() - start >= 0.02


On = Callable[[Coroutine[Any, Any, Any]], Any]
ON_LOOPS: list[On] = [asyncio.run, lambda work: run_in_background(lambda: work)]


async def signal_itself(effects: Effects, value: Any) -> bool:
    signal = asyncio.get_running_loop().create_future()
    signal.set_result(None)
    await effects.first([signal, asyncio.get_running_loop().create_future()])
    return bool(signal.done())


@pytest.mark.parametrize("on", ON_LOOPS, ids=["its own", "background"])
def test_a_signal_ends_the_waiting(on: On) -> None:
    assert on(Using(signal_itself).ainvoke(None))


def test_async_functions_called_from_threads_share_one_loop() -> None:
    loops = set()

    async def note() -> None:
        loops.add(id(asyncio.get_running_loop()))

    async def work(effects: Effects, value: Any) -> None:
        await effects.coroutine(note)

    threads = [threading.Thread(target=Using(work).invoke, args=(None,)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(loops) == 1


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_async_functions_work_on_after_one_was_interrupted(error: type[BaseException]) -> None:
    async def interrupted() -> None:
        raise error

    async def work(effects: Effects, value: Any) -> Any:
        return await effects.coroutine(value)

    async def fine() -> str:
        return "fine"

    with pytest.raises(error):
        Using(work).invoke(interrupted)
    result: list[Any] = []
    thread = threading.Thread(target=lambda: result.append(Using(work).invoke(fine)), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert result == ["fine"]
