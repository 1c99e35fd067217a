"""What all patterns are built on: the pattern and its nodes, the state, and the steps of a workflow."""

from graphs.engine.budget import RESERVED
from graphs.engine.chat_stream import speaking
from graphs.engine.drawing import Box, each, each_step, renderers
from graphs.engine.execute import EXECUTE, Execute
from graphs.engine.pattern import CompiledPattern, Node, Pattern, PatternGraph, by_name, describe, known
from graphs.engine.state import Envelope, Input, Problem, assignment, closing, out_of_budget, problem, question, request
from graphs.engine.steps import OnFailure, Step, StepRecord, critical_path, findings, new_record, read_plan

__all__ = [
    "EXECUTE",
    "RESERVED",
    "Box",
    "CompiledPattern",
    "Envelope",
    "Execute",
    "Input",
    "Node",
    "OnFailure",
    "Pattern",
    "PatternGraph",
    "Problem",
    "Step",
    "StepRecord",
    "assignment",
    "by_name",
    "closing",
    "critical_path",
    "describe",
    "each",
    "each_step",
    "findings",
    "known",
    "new_record",
    "out_of_budget",
    "problem",
    "question",
    "read_plan",
    "renderers",
    "request",
    "speaking",
]
