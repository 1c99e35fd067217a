"""The beginnings of the patterns' prompts, by which scripted models recognise who asks."""

from graphs.decisions import prompts


def _opening(prompt: str) -> str:
    return prompt.partition("{")[0].splitlines()[0]


PLANNER = _opening(prompts.PLAN)
ROUTER = _opening(prompts.ROUTE)
REVIEWER = _opening(prompts.REVIEW)
TRIAGE = _opening(prompts.TRIAGE)
SYNTHESIZER = _opening(prompts.SYNTHESIZE)
ASSISTANT = _opening(prompts.BASELINE)
