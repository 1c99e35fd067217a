"""Work beyond one process: steps on other machines, and a queue of runs for workers.

executor     agents whose assignments are worked on elsewhere, behind any executor
"""

from typing import TYPE_CHECKING

from agents.runtime import lazily

if TYPE_CHECKING:
    from graphs.distributed.executor import on

__all__ = ["on"]

__getattr__ = lazily(__name__, {"on": "executor"})
