"""Models that cannot call tools write calculations as lines, and answer from the results."""

from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from agents import Agent
from agents.assignment import quote
from agents.tools import calculator, fetch_page, file_tools, web_search
from agents.tools.arithmetic import compute
from agents.workers.lines import lines_in, lines_wanted
from agents.workers.tool_choice import AS_LINES
from tests.chat import unable
from tests.tables import each

SUM = "chairs = 4\nprice = 45.00\ntotal = chairs * price"


def test_files_that_the_task_names_are_read_without_asking(call: Any, tmp_path: Path) -> None:
    (tmp_path / "rules.txt").write_text("Leave by ten.")
    model = unable("By ten.")
    agent = Agent("clerk", model=model, tools=file_tools(tmp_path))
    assert call(agent, "By when must guests leave, according to rules.txt and lost.txt?")["text"] == "By ten."
    assert [quote('Result of read_file for {"path": "rules.txt"}', "Leave by ten.") in model.calls[0].prompt] == [True]


def test_a_calculation_is_written_as_lines_and_computed(call: Any, tmp_path: Path) -> None:
    (tmp_path / "prices.txt").write_text("chair 45.00\nlamp 18.50")
    model = unable(SUM, "4 chairs cost 180.")
    agent = Agent("clerk", instructions="Be exact.", model=model, tools=[*file_tools(tmp_path), calculator])
    answer = call(agent, "What do 4 chairs of prices.txt cost?")
    assert (answer["text"], answer["usage"]["calls"]) == ("4 chairs cost 180.", 2)
    lines, words = model.calls
    assert "chair 45.00" in lines.messages[-1].text
    assert words.messages[: len(lines.messages)] == lines.messages  # read once by a runtime that caches prompts
    assert quote("Computed", "chairs = 4\nprice = 45\ntotal = 180") in words.messages[-1].text


def test_a_task_without_texts_is_also_shown_when_there_is_nothing_to_calculate() -> None:
    model = unable("none", "A kettle.")
    Agent("clerk", model=model, tools=[calculator]).invoke("Describe a kettle of 1.7 litres at 39.90 in 40 words.")
    assert "none" in [message.text for message in model.calls[0].messages]


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("All of them are cheap.", "All of them are cheap.\n\ntotal: 180"),
        ("4 chairs cost 237.", "total: 180"),
        ("They cost 180.00 in all.", "They cost 180.00 in all."),
    ],
    ids=["left out", "another figure", "right"],
)
def test_what_was_computed_is_in_the_answer(call: Any, words: str, answer: str) -> None:
    agent = Agent("clerk", model=unable(SUM, words), tools=[calculator])
    assert call(agent, "What do 4 chairs at 45.00 cost?")["text"] == answer


def test_where_there_is_nothing_to_calculate_the_task_is_answered(call: Any) -> None:
    model = unable("none", "In March.")
    agent = Agent("clerk", model=model, tools=[calculator])
    assert call(agent, "We meet on 3 March at 15:30. In which month is that?")["text"] == "In March."
    assert "none" not in str(model.calls[-1].messages)


def test_what_a_file_lists_is_counted_where_the_task_asks_for_a_figure(call: Any, tmp_path: Path) -> None:
    (tmp_path / "crew.txt").write_text("Crew: Jo, Kim, Ravi.")
    model = unable("each = 90 / 3", "Each pays 30.", "Jo, Kim and Ravi.")
    agent = Agent("clerk", model=model, tools=[*file_tools(tmp_path), calculator])
    call(agent, "Read crew.txt. What does each pay of 90?")
    assert "Crew: 3" in model.calls[0].messages[-1].text
    call(agent, "Who is named in crew.txt?")
    assert "Crew: Jo" in model.calls[-1].prompt


def test_instructions_guide_the_answer_and_not_the_lines_unless_they_have_figures(call: Any) -> None:
    for instructions, has_them in (("Be exact.", False), ("The discount is 25%.", True)):
        model = unable(SUM, "They cost 180.")
        call(Agent("clerk", instructions=instructions, model=model, tools=[calculator]), "What do 4 chairs at 45 cost?")
        lines, words = model.calls
        assert (instructions in lines.prompt, instructions in words.prompt) == (has_them, True)


@each(
    ("written", "read"),
    [
        ("20% of 1,450 = 0.2 * 1,450 = 300", "result_1 = 20% of 1,450"),
        ("- Cost of all = 4 * $45 = 170", "Cost_of_all = 4 * $45"),
        ("a = 3; b = a * 2", "a = 3\nb = a * 2"),
        ("1. **net** = 4 * 45\n2. tax = 0.19 * net", "net = 4 * 45\ntax = 0.19 * net"),
        ("total: 4 * 45 = 180", "total = 4 * 45"),
        (r"\[ \text{total} = 4 \times 45 \]", "total = 4 * 45"),
        ("net = 950\ngross = net + 19%", ""),  # which is not 950.19
        ("a = 2 ** 3 ** 2", "a = 2 ** 3 ** 2"),
        ("hours = 90 minutes / 60 minutes", "hours = 90 / 60"),
        ('cup = {"price": 3}\ntotal = cup["price"] * 2', ""),
        ("2 cats and a dog eat 2 * 3 + 4 = 10", "result_1 = 2 * 3 + 4"),
        ("It is 4 == 4, or x >= 3 * 2.", ""),
        ('price = 3\nprint(f"It costs {price}")', ""),
    ],
)
def test_lines_are_read_as_a_model_means_them(written: str, read: str) -> None:
    assert lines_in(written, {}, compute) == read


@each(
    ("words", "is_kept"),
    [
        ("Inn sea is cheaper by 17.", False),
        ("The inn sea is the cheaper one, by 17.", False),
        ("Inn sun is cheaper by 17 than inn sea.", True),
        ("Inn sea is not cheaper: it costs 17 more.", True),
        ("Inn sea costs more, inn sun is 17 less.", True),
        ("The cheaper of both is inn sun, by 17.", True),
        ("By 17 the stay at inn sea is higher; inn sun is lower.", True),
    ],
)
def test_a_comparison_that_contradicts_the_results_is_replaced(call: Any, words: str, is_kept: bool) -> None:
    model = unable("inn_sun_total = 420 + 98\ninn_sea_total = 395 + 140\ngap = inn_sea_total - inn_sun_total", words)
    task = "Inn sun: 420 and 98. Inn sea: 395 and 140. Which is cheaper, and by how much?"
    plain = "gap: 17 (inn sun total is 17 less than inn sea total)"
    assert call(Agent("clerk", model=model, tools=[calculator]), task)["text"] == (words if is_kept else plain)


def test_lines_that_cannot_be_computed_go_back_once(call: Any) -> None:
    model = unable("total = four chairs", SUM, "They cost 180.")
    answer = call(Agent("clerk", model=model, tools=[calculator]), "What do 4 chairs at 45.00 cost?")
    assert (answer["text"], answer["usage"]["calls"]) == ("They cost 180.", 3)
    assert model.calls[1].messages[-1].text == AS_LINES


def test_results_that_are_compared_are_compared_in_words(call: Any) -> None:
    model = unable("first = 2 * 40\nsecond = 3 * 35\ngap = second - first\nbest = min(first, second)", "The first is.")
    answer = call(Agent("clerk", model=model, tools=[calculator]), "2 days at 40 or 3 at 35: which is cheaper?")
    assert "gap = 25 (first is 25 less than second)\nbest = 80 (first)" in model.calls[1].messages[-1].text
    assert answer["text"] == "The first is.\n\ngap: 25 (first is 25 less than second)\nbest: 80 (first)"


def test_a_small_result_that_is_only_in_code_is_added(call: Any) -> None:
    model = unable(
        "walks = 3\nhours = walks * 2", "```python\nhours = 3 * 2  # 6\n```", "walks = 3\nhours = 3 * 2", "Six."
    )
    agent = Agent("coder", model=model, tools=[calculator])
    assert call(agent, "How long are 3 walks of 2 hours?")["text"].endswith("```\n\nhours: 6")
    assert call(agent, "How long are 3 walks of 2 hours?")["text"] == "Six."


def test_lines_that_an_answer_repeats_are_left_out(call: Any) -> None:
    agent = Agent("clerk", model=unable(SUM, "total = 180\nThey cost 180."), tools=[calculator])
    assert call(agent, "What do 4 chairs at 45.00 cost?")["text"] == "They cost 180."


def test_nothing_is_calculated_where_a_task_only_reads_files(call: Any, tmp_path: Path) -> None:
    (tmp_path / "price.txt").write_text("Oak costs 48 a metre, 4 metres are needed.")
    model = unable("Oak costs 48 a metre, 4 metres are needed.")
    call(Agent("clerk", model=model, tools=[*file_tools(tmp_path), calculator]), "Read price.txt.")
    assert len(model.calls) == 1


def test_an_answer_names_also_an_earlier_result_of_which_the_task_asks_how_many(call: Any) -> None:
    model = unable("area = 8 * 2.5\nlitres = area / 5\ncost = litres * 11.50", "The paint costs 46.00.")
    task = "A wall is 8 by 2.5 m, a litre at 11.50 covers 5 square metres. How many litres are needed, at what cost?"
    assert call(Agent("clerk", model=model, tools=[calculator]), task)["text"] == "The paint costs 46.00.\n\nlitres: 4"


def test_an_amount_of_money_gets_no_measure(call: Any) -> None:
    model = unable("litres = 9 * 4\npetrol_cost = litres * 2", "The 36 litres cost 72 litres.")
    answer = call(Agent("clerk", model=model, tools=[calculator]), "What do 9 times 4 litres at 2 cost?")
    assert answer["text"] == "The 36 litres cost 72."


@pytest.mark.parametrize("task", ["Write a function for the larger of two numbers.", "Name two cities."])
def test_a_task_that_needs_no_tool_is_answered_at_once(call: Any, tmp_path: Path, task: str) -> None:
    agent = Agent("clerk", model=unable("Done."), tools=[calculator, *file_tools(tmp_path), fetch_page, web_search])
    answer = call(agent, {"task": task, "request": HumanMessage(f"What do 12 chairs at 45.50 cost? {task}")})
    assert (answer["text"], answer["usage"]["calls"]) == ("Done.", 1)


@pytest.mark.parametrize(
    ("task", "known"),
    [
        ("How many hours are 450 minutes?", ""),
        ("Two men dig three holes in five days. When are six done?", ""),
        ("Add what the chairs and the tables cost.", "chairs: 546"),
        ("Teile den Gesamtpreis auf die Schüler auf.", "30 Schüler, 375 Euro"),
        ("Divide it by 2.", "total: 9"),
        ("把总价分给学生", "375"),
    ],
)
def test_no_calculation_is_dropped(task: str, known: str) -> None:
    assert lines_wanted(task, "", known)


def test_results_for_other_agents_need_no_sentence(call: Any) -> None:
    task = {"task": "What do 4 chairs at 45.00 cost?", "intermediate": True}
    answer = call(Agent("clerk", model=unable(SUM), tools=[calculator]), task)
    assert (answer["text"], answer["figures"]) == (
        f"{task['task']}\ntotal: 180",
        {"chairs": 4, "price": 45, "total": 180},
    )
    asked = {**task, "task": "What do 4 chairs at 45.00 cost? Explain why."}
    assert call(Agent("clerk", model=unable(SUM, "180."), tools=[calculator]), asked)["text"] == "180."


def test_what_a_file_lists_is_put_in_order_where_the_task_asks_for_the_most(call: Any, tmp_path: Path) -> None:
    (tmp_path / "cycling.txt").write_text("Kilometres: Ida 310, Tom 428, Lea 395.")
    model = unable("none", "Tom.", "none", "Tom.")
    agent = Agent("clerk", model=model, tools=[*file_tools(tmp_path), calculator])
    call(agent, "Who cycled farthest according to cycling.txt?")
    assert "From most to least: Tom 428; Lea 395; Ida 310" in model.calls[-1].prompt
    call(agent, "Write at most 9 words on cycling.txt.")
    assert "From most to least" not in model.calls[-1].prompt


def test_what_files_say_goes_to_other_agents_as_it_is(call: Any, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("Adults pay 9.")
    agent = Agent("clerk", model=unable(), tools=[*file_tools(tmp_path), calculator])
    assert call(agent, {"task": "Read the file a.txt.", "intermediate": True})["text"] == "Adults pay 9."
