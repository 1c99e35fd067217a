"""Tables of examples that are one case: each row runs, and all rows that fail are named."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any


def each(names: str | tuple[str, ...], rows: Iterable[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Run a test with each row, as `pytest.mark.parametrize` does, for tables of pure functions that are quick."""
    split = [name.strip() for name in names.split(",")] if isinstance(names, str) else [*names]
    values = [row.values if hasattr(row, "marks") else row if len(split) > 1 else (row,) for row in rows]
    table = [dict(zip(split, row, strict=True)) for row in values]

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(test)
        def run(**fixtures: Any) -> None:
            errors: list[Exception] = []
            for row in table:
                try:
                    test(**fixtures, **row)
                except Exception as error:
                    error.add_note(f"row: {row!r:.300}")
                    errors.append(error)
            if errors:
                raise ExceptionGroup(f"{len(errors)} of {len(table)} rows fail", errors)

        own = inspect.signature(test)
        kept = [parameter for name, parameter in own.parameters.items() if name not in split]
        run.__signature__ = own.replace(parameters=kept)  # type: ignore[attr-defined]
        return run

    return decorate
