"""Evaluations: what counts as right, what is compared, and that no finished case is repeated."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langgraph.graph import START, MessagesState, StateGraph

from agents import Agent, NoModelError, Settings
from agents.testing import ScriptedModel
from graphs import ConfigurationError, Router, Step, Workflow, aevaluate, evaluate
from graphs.cli import command
from graphs.cli.exit_codes import BAD_USAGE, FAILED, PARTIAL
from graphs.evaluation import case_of_run, evaluation_page, read_cases
from graphs.evaluation.compare import mcnemar, mean_difference, share_difference, t_quantile
from graphs.storage import sqlite
from tests.office import Office, clean
from tests.processes import Processes
from tests.tables import each

ANSWER = "The 4 chairs cost 1,300.50 euros. That is fair."


def clerk(answer: str = ANSWER, asked: list[str] | None = None) -> Agent:
    def work(task: str) -> str:
        if asked is not None:
            asked.append(task)
        return answer

    return Agent("clerk", function=work)


@each(
    ("rule", "wrong"),
    [
        ({"expect": [1300.5, 4, "CHAIRS", "fair"]}, []),
        ({"expect": 1300.6}, ["1300.6 is missing"]),
        ({"expect": 1300.6, "tolerance": 0.11}, []),
        ({"forbid": ["chair", "unfair", 5]}, []),
        ({"forbid": ["Chairs", 4]}, ["Chairs is in it", "4 is in it"]),
        ({"match": r"cost.*fair\b"}, []),
        ({"match": r"^cost"}, ["/^cost/ is not found"]),
        ({"check": lambda answer: None if "!" in answer else "It is dull."}, ["It is dull."]),
        ({"check": "builtins:bool"}, []),
        ({"limits": {"words": 9, "sentences": 2, "calls": 1}}, []),
        ({"limits": {"words": 8, "sentences": 1}}, ["9 words, not 8 at most", "2 sentences, not 1 at most"]),
    ],
)
def test_an_answer_is_right_if_it_meets_every_rule(rule: dict[str, Any], wrong: list[str]) -> None:
    (outcome,) = evaluate([{"id": "a", "request": "What do they cost?", **rule}], [clerk()]).outcomes
    assert (outcome["wrong"], outcome["right"]) == (wrong, not wrong)


@each(
    ("line", "message"),
    [
        ("{", "cases.jsonl:2: Invalid JSON"),
        ('{"id": "b", "request": "Do it", "expects": 1}', "cases.jsonl:2: expects: .*; known: id, request"),
        ('{"id": "b", "request": "Do it"}', "cases.jsonl:2: nothing says what is right: add expect"),
        ('{"id": "b", "request": "Do it", "match": "("}', "cases.jsonl:2: match .* is not a regular expression"),
        ('{"id": "b", "request": "Do it", "expect": 1, "files": "no.txt"}', "cases.jsonl:2: no.txt is not in"),
        ('{"id": "a", "request": "Do it", "expect": 1}', "unique; twice: a"),
        ('{"id": "b/c", "request": "Do it", "expect": 1}', "cases.jsonl:2: id 'b/c' must be"),
        ('{"id": "b", "request": " ", "expect": 1}', "cases.jsonl:2: request"),
        ('{"id": "b", "request": "Do it", "expect": ""}', "cases.jsonl:2: expect"),
        ('{"id": "b", "request": "Do it", "expect": NaN}', "cases.jsonl:2: expect"),
        ('{"id": "b", "request": "Do it", "judge": " "}', "cases.jsonl:2: judge"),
    ],
)
def test_a_bad_case_is_refused_with_its_line(tmp_path: Path, line: str, message: str) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(f'{{"id": "a", "request": "Do it", "expect": 1}}\n{line}\n')
    with pytest.raises(ConfigurationError, match=message):
        read_cases(file, folder=tmp_path)


def test_an_evaluation_goes_on_where_it_was_and_repeats_no_finished_case(tmp_path: Path) -> None:
    cases = [{"id": name, "request": f"Do {name}", "expect": "fair"} for name in "abc"]
    asked: list[str] = []

    def crash(task: str) -> str:
        asked.append(task)
        if task == "Do b":
            raise SystemExit
        return ANSWER

    with sqlite(tmp_path / "runs.sqlite") as storage:
        options: dict[str, Any] = {"storage": storage, "name": "mine", "max_concurrency": 1}
        with pytest.raises(SystemExit):
            evaluate(cases, {"one": Agent("clerk", function=crash)}, **options)
        again = asyncio.run(aevaluate(cases, {"one": clerk(asked=asked)}, **options))
        assert again.all_right
        assert sorted(asked) == ["Do a", "Do b", "Do b", "Do c"]
        assert [outcome["run"] for outcome in again.outcomes] == ["mine-one-a", "mine-one-b", "mine-one-c"]
        with pytest.raises(ConfigurationError, match="choose a new name"):
            evaluate([{**cases[0], "request": "Do z"}], {"one": clerk()}, **options)


def test_the_budget_of_all_runs_leaves_cases_for_later() -> None:
    cases = [{"id": name, "request": f"Do {name}", "expect": "fair"} for name in "abc"]
    agent = Agent("clerk", instructions="Be fair.", model=ScriptedModel([ANSWER, ANSWER]))
    evaluation = evaluate(cases, [agent], name="mine", max_concurrency=1, budget=Settings(max_calls=2))
    assert [outcome["calls"] for outcome in evaluation.outcomes] == [1, 1]
    assert (evaluation.left, evaluation.all_right) == (["mine-clerk-c"], False)


def test_a_graph_may_call_something_else_as_a_record_does() -> None:
    class State(MessagesState):
        errors: list[str]
        usage: int

    odd = {"messages": [("ai", "42")], "errors": ["late"], "usage": 7}
    graph = StateGraph(State).add_node("say", lambda state: odd).add_edge(START, "say")
    (outcome,) = evaluate([{"id": "a", "request": "How many?", "expect": 42}], {"own": graph}).outcomes
    assert (outcome["wrong"], outcome["status"], outcome["calls"]) == ([], "completed", 0)


def test_a_judge_gives_its_reason_once(tmp_path: Path) -> None:
    rejected = {"criteria": {"criterion_1": {"evidence": "none", "met": False}}, "feedback": "It is rude."}
    case = {"id": "a", "request": "Answer a letter", "judge": "It is polite."}
    with sqlite(tmp_path / "runs.sqlite") as storage:
        judge = ScriptedModel([rejected])
        for _ in range(2):
            (outcome,) = evaluate([case], [clerk()], storage=storage, name="mine", judge=judge).outcomes
            assert outcome["wrong"] == ["The judge: It is rude."]


def test_patterns_are_compared_by_pairs_and_shown_on_a_page() -> None:
    cases = [{"id": f"c{number}", "kind": "sums", "request": "Do it", "expect": "fair"} for number in range(6)]
    evaluation = evaluate(
        cases, {"good": clerk(), "bad": Router([clerk("<b>no</b>")], classifier=lambda task: "clerk")}
    )
    assert [(total["pattern"], total["kind"], total["right"]) for total in evaluation.totals] == [
        ("good", "", 6),
        ("bad", "", 0),
        ("good", "sums", 6),
        ("bad", "sums", 0),
    ]
    (difference,) = evaluation.differences
    assert (difference["only_first"], difference["only_second"], difference["p"]) == (6, 0, 2 / 2**6)
    assert difference["right"]["interval"][0] > 0
    page = evaluation_page(evaluation)
    assert "6 of 6 (100%)" in page
    assert "podium show" in page
    assert "&lt;b&gt;no" in page


@given(*[st.integers(0, 50)] * 2)
def test_the_probability_is_the_same_from_both_sides(only_first: int, only_second: int) -> None:
    assert 0 < mcnemar(only_first, only_second) == mcnemar(only_second, only_first) <= 1


@each(
    ("answer", "expected"),
    [
        ("1.250,50 €, 1 250,50 or 1'250.50", 1250.5),
        ("1.250 Euro", 1250),
        ("\u22125 degrees", -5),
        ("rooms 3 500", 500),
        ("5-10 people", 10),
    ],
)
def test_figures_count_as_people_write_them(answer: str, expected: float) -> None:
    (outcome,) = evaluate([{"id": "a", "request": "x", "expect": expected}], [clerk(answer)]).outcomes
    assert outcome["wrong"] == []


def test_a_check_that_fails_is_wrong_in_its_case_only() -> None:
    cases = [
        {"id": "a", "request": "x", "check": lambda answer: 1 / 0},
        {"id": "b", "request": "x\u2028y", "expect": "fair"},
    ]
    outcomes = evaluate(cases, [clerk()]).outcomes
    assert [outcome["wrong"] for outcome in outcomes] == [
        ["The check '<lambda>' failed: ZeroDivisionError: division by zero"],
        [],
    ]


@each(
    ("patterns", "options"),
    [
        (clerk(), {}),
        ([clerk(), clerk()], {}),
        ([clerk()], {"judge": "nonsense"}),
        ([clerk()], {"max_concurrency": 0}),
        ([], {}),
    ],
)
def test_what_cannot_be_evaluated_is_refused_before_anything_runs(patterns: Any, options: Any) -> None:
    with pytest.raises((ConfigurationError, NoModelError)):
        evaluate([{"id": "a", "request": "x", "judge": "It is kind."}], patterns, **options)


def test_the_statistics_of_few_cases_are_those_of_the_books() -> None:
    assert [round(mcnemar(*counts), 4) for counts in ((0, 0), (3, 0), (4, 1), (9, 2))] == [1, 0.25, 0.375, 0.0654]
    assert [t_quantile(freedom) for freedom in (1, 2, 3, 5, 11, 23)] == pytest.approx(
        [12.706, 4.303, 3.182, 2.571, 2.201, 2.069], abs=0.004
    )
    three = mean_difference([1, 2, 6])  # as scipy.stats.ttest_1samp gives it
    assert (three["mean"], *three["interval"]) == pytest.approx((3, -3.572, 9.572), abs=0.02)
    all_three = share_difference(3, 0, 3)
    assert (all_three["mean"], *all_three["interval"]) == pytest.approx((1, -0.101, 1), abs=0.001)


def test_a_stored_run_becomes_a_case_that_expects_its_figures() -> None:
    evaluation = evaluate([{"id": "a", "request": "What do 4 chairs cost?", "expect": 4}], [clerk()])
    case = case_of_run("ab3de", "What do 4 chairs cost?", [*_messages(evaluation.outcomes[0]["answer"])])
    assert case == {"id": "ab3de", "request": "What do 4 chairs cost?", "expect": [1300.5]}
    assert "judge" in case_of_run("ab3de", "Is it fair?", [*_messages("Yes.")])
    assert case_of_run("ab3de", "When?", _messages("On 2024.05.01, for 1,250.50 or 1,2,3"))["expect"] == [1250.5]


def _messages(answer: str) -> list[Any]:
    from langchain_core.messages import AIMessage

    return [AIMessage(answer)]


OWN = """
from agents import Agent
from graphs import Router
graph = Router([Agent("clerk", function=lambda task: "It costs 300.")], classifier=lambda task: "clerk", model=False)
"""


@pytest.mark.parametrize(("expected", "code"), [(300, 0), (301, 1)])
def test_the_command_evaluates_and_its_code_says_whether_all_is_right(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], expected: int, code: int
) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "evaluated.py").write_text(OWN)
    (tmp_path / "cases.jsonl").write_text(json.dumps({"id": "a", "request": "What is it?", "expect": expected}))
    named = ["eval", "cases.jsonl", "--pattern", "evaluated:graph", "--name", "mine"]
    assert command([*named, "--html"]) == code
    out, told = capsys.readouterr()
    assert f"{1 - code} of 1" in out
    assert ("podium show mine-graph-a" in out) == bool(code)
    assert "1 of 1  mine-graph-a" in told
    assert "Evaluation mine" in (tmp_path / "evaluation-mine.html").read_text()
    assert command([*named, "--json", "--quiet"]) == code
    assert json.loads(capsys.readouterr().out)["outcomes"][0]["answer"] == "It costs 300."
    assert command(["eval", "--from-run", "mine-graph-a"]) == 0
    assert json.loads(capsys.readouterr().out)["expect"] == [300]
    assert command(["eval", "cases.jsonl", "--pattern", "nix"]) == 2


def test_a_failed_run_makes_no_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODIUM_RUNS", str(tmp_path / "runs.sqlite"))
    broken = Agent("broken", function=lambda task: {}["answer"])
    with sqlite(tmp_path / "runs.sqlite") as storage:
        graph = Workflow([Step("a", "broken", "x")], agents=[broken]).compile(storage)
        graph.invoke({"messages": "x"}, {"configurable": {"thread_id": "broken"}})
    assert command(["eval", "--from-run", "broken"]) == BAD_USAGE


def test_all_patterns_of_the_command_answer_the_same_case_within_one_budget(processes: Processes) -> None:
    (processes.folder / "cases.jsonl").write_text('{"id": "a", "request": "Do it", "expect": "final"}')
    patterns = "planner,router,orchestrator,baseline"
    with Office() as office:
        named = ["eval", "cases.jsonl", "--pattern", patterns, "--name", "mine"]
        cut_short = clean(processes.podium(*named, "--max-calls", "1", **office.environment))
        done = clean(processes.podium(*named, "--json", **office.environment))
        asked = len(office.asked)
        again = clean(processes.podium(*named, "--json", "--quiet", **office.environment))
    assert (cut_short.code, done.code, again.code) == (PARTIAL, FAILED, FAILED)
    assert "budget is used up" in cut_short.told
    right = {outcome["pattern"]: outcome["right"] for outcome in json.loads(done.out)["outcomes"]}
    assert right == {"planner": True, "router": False, "orchestrator": True, "baseline": False}
    assert json.loads(again.out) == json.loads(done.out)
    assert len(office.asked) == asked
    assert "All by myself" in processes.podium("show", "mine-baseline-a").out
