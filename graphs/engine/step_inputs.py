"""The inputs of a step from those it depends on: their results as text and as data, and their named figures."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from graphs.engine.steps import Step, StepRecord
from graphs.errors import ChangedCodeError


@dataclass(frozen=True, slots=True)
class StepInputs:
    """The inputs of a step, or of an item or a round of it; by id of a dependency, `item` or `last_round`."""

    context: Mapping[str, str]
    """The results as text; in place of a missing one the reason."""
    data: Mapping[str, object]
    """Results that are data; an object where the dependency `returns` one."""
    figures: Mapping[str, float]
    """Results of calculations by their own names."""

    def with_(self, name: str, text: str, value: object) -> StepInputs:
        """Return the inputs with one more; a value of None adds no data."""
        data = self.data if value is None else {**self.data, name: value}
        return replace(self, context={**self.context, name: text}, data=data)

    def without(self, name: str) -> StepInputs:
        """Return the inputs without those of one name; its figures stay."""
        context = {key: text for key, text in self.context.items() if key != name}
        return replace(self, context=context, data={key: value for key, value in self.data.items() if key != name})


def inputs_of(step: Step, settled: Mapping[str, StepRecord], steps: Mapping[str, Step]) -> StepInputs:
    """Return the inputs of a step whose dependencies have these records."""
    records = {name: settled[name] for name in step.dependencies if name in settled}
    texts = {name: record["result"] or f"(no result: {record['error']})" for name, record in records.items()}
    values = {name: value_of(steps.get(name), record) for name, record in records.items()}
    return StepInputs(
        {name: texts.get(name, "(no result yet)") for name in step.dependencies},
        {name: value for name, value in values.items() if value is not None},
        figures_of(records),
    )


def figures_of(records: Mapping[str, StepRecord]) -> dict[str, float]:
    """Return the named figures of steps; a name that several have begins with the id of its step."""
    often = Counter(name for record in records.values() for name in record.get("figures", ()))
    figures: dict[str, float] = {}
    for step_id, record in records.items():
        prefix = re.sub(r"\W", "_", step_id)
        for name, figure in record.get("figures", {}).items():
            figures[name if often[name] == 1 else f"{prefix}_{name}"] = figure
    return figures


def value_of(step: Step | None, record: StepRecord, *, is_item: bool = False) -> object:
    """Return a result as the object that `returns` describes (a list of them for `for_each`), else its data.

    Args:
        step: As this code defines it.
        record: Its own, or that of one item or round of it.
        is_item: Whether the record is that of one item.

    Raises:
        ChangedCodeError: It was stored by code with another form.
    """
    data = record["data"]
    if step is None or step.returns is None or data is None or record["status"] != "completed":
        return data
    form, is_list = step.returns, step.for_each is not None and not is_item
    try:
        # As JSON, because a strict form takes a date as text only there.
        items = [form.model_validate_json(json.dumps(item)) for item in (data if is_list else [data])]
    except ValidationError as error:
        raise ChangedCodeError(
            f"The stored result of step {step.id!r} is not a {form.__name__} as this code defines it: {error};"
            " resume the run with the code that began it, or start it again in a new thread"
        ) from error
    return items if is_list else items[0]
