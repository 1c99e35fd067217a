"""What the tests of agents and graphs share."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

Call = Callable[..., Any]


@pytest.fixture(params=["invoke", "ainvoke"])
def call(request: pytest.FixtureRequest) -> Call:
    """Call a Runnable; every test that asks for this runs once in sync and once in async code."""

    def invoke(runnable: Any, value: Any, config: Any = None, **options: Any) -> Any:
        if request.param == "invoke":
            return runnable.invoke(value, config, **options)
        return asyncio.run(runnable.ainvoke(value, config, **options))

    return invoke
