"""The base of all patterns. It imports `agents`, and no other room of `graphs`.

Graphs
pattern              the base class, and the graph that it builds; run_rules: how its runs begin and end
compiled_pattern     the graph to run
node                 `ask -> agent -> take`, and functions of the state
state                the state that all patterns share, and how it opens and closes; record_keys: which of it runs fill
team                 agents by name
drawing              drawings with what is inside a node; own_graphs: graphs in modules of the user's, by name

Steps
steps                the rules of steps, on plain data; plan_check: what is wrong with a plan
execute              the node that runs steps: each begins when those it depends on have ended
step_work            the work of one step, the form of its result, and events of it; step_inputs: what it gets
step_records         what is kept of it; durable_tasks: calls stored before anybody builds on their results

Runs
budget               what a run may use; concurrency: the caller's `max_concurrency`
thread_lock          one run, one worker; savers: checkpointers as a run calls them; changed_code: on resume
chat_stream          what chat front ends see of a run
langgraph_internals  all that depends on undocumented behaviour of LangGraph
"""

from graphs.engine import langgraph_internals
from graphs.engine.budget import RESERVED, Budget, Spent, spent, with_rest, within_budget
from graphs.engine.changed_code import lacking_in_steps
from graphs.engine.chat_stream import shown_call, speaking
from graphs.engine.compiled_pattern import CompiledPattern
from graphs.engine.drawing import renderers
from graphs.engine.execute import EXECUTE, Execute, StepRun
from graphs.engine.node import Node, Update
from graphs.engine.own_graphs import GRAPHS, compiled, load_named
from graphs.engine.pattern import Pattern, PatternGraph
from graphs.engine.plan_check import findings
from graphs.engine.record_keys import record_of
from graphs.engine.state import (
    KEPT,
    RUNNING,
    Conclusion,
    Input,
    PatternState,
    Problem,
    Worked,
    added,
    closing,
    ended_as,
    last_request,
    out_of_budget,
    problem,
    problems_inside,
    recovered,
)
from graphs.engine.step_records import ASKS, conclude_steps, is_record, judge, questions_in, under_names
from graphs.engine.steps import OnFailure, Plan, Step, StepRecord, new_record, read_plan
from graphs.engine.team import describe, member, team_of
from graphs.engine.thread_lock import ThreadLock, WhenBusy

__all__ = [
    "ASKS",
    "EXECUTE",
    "GRAPHS",
    "KEPT",
    "RESERVED",
    "RUNNING",
    "Budget",
    "CompiledPattern",
    "Conclusion",
    "Execute",
    "Input",
    "Node",
    "OnFailure",
    "Pattern",
    "PatternGraph",
    "PatternState",
    "Plan",
    "Problem",
    "Spent",
    "Step",
    "StepRecord",
    "StepRun",
    "ThreadLock",
    "Update",
    "WhenBusy",
    "Worked",
    "added",
    "closing",
    "compiled",
    "conclude_steps",
    "describe",
    "ended_as",
    "findings",
    "is_record",
    "judge",
    "lacking_in_steps",
    "langgraph_internals",
    "last_request",
    "load_named",
    "member",
    "new_record",
    "out_of_budget",
    "problem",
    "problems_inside",
    "questions_in",
    "read_plan",
    "record_of",
    "recovered",
    "renderers",
    "shown_call",
    "speaking",
    "spent",
    "team_of",
    "under_names",
    "with_rest",
    "within_budget",
]
