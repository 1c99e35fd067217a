"""Work beyond one process: steps on other machines, and a queue of runs for workers."""

from agents.runtime import lazily

__all__: list[str] = []

__getattr__ = lazily(__name__, {})
