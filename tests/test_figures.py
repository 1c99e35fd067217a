"""Figures that come from nowhere are noticed; dates, counts, ordinary wording and simple operations are not."""

from typing import Any

from agents.checks import unknown_figures, with_count, with_named
from tests.planned import APART, ASK, Team, plan, step
from tests.tables import each

CHAIRS = "What do 12 chairs at 45.50 and 4 tables at 120 cost together?"
GYMS = "One gym costs 25 a month and a fee of 40, another 32 a month. What do 8 months cost?"
VAN = "A van uses 8.5 litres per 100 km, diesel costs 1.62 a litre, and we drive 740 km."

EXPLAINED = [
    (CHAIRS, "The chairs cost 546 and the tables 480."),
    (CHAIRS, "12 * 45.50 = 546.00"),
    (CHAIRS, "A chair costs 45.5 euros, a table 120.00."),
    (f"{CHAIRS}\n1026", "In all 1,026.00 euros."),
    (f"{CHAIRS}\n1026", "In all 1.026,00 €."),
    (f"{CHAIRS}\n1026", "In all 1 026 €."),
    (GYMS, "Without its fee of 40 the first costs 200."),
    (GYMS.replace("fee of 40", "fee of 40 (240)"), "240 and 256, so the first saves 16."),
    (VAN, "62.9 litres are needed."),
    (f"{VAN} 101.898", "About 101.90, or 102 euros."),
    ("101.898 litres for 4", "Each of 4 pays 25.47."),
    ("18% of 2,350", "423"),
    ("A price of 80 falls by 15%.", "It falls by 12 to 68."),
    ("A share of 0.25", "That is 25%."),
    ("How many minutes are 3.5 hours?", "210 minutes."),
    ("A flight takes 150 minutes.", "2.5 hours."),
    ("Two dozen eggs", "24 eggs"),
    ("Half of 90", "45"),
    ("Three of 50 are red.", "That leaves 47, or 94%."),
    ("We were 31, 38 and 35.", "104 in all."),
    ("The party is on 12 June at 17:00.", "Come on 12 June at 17:00, or 5 pm."),
    ("It opened in 1998.", "It has been open since 1998, for a quarter of a century, until 2024."),
    ("The invoice of 03.04.2025", "Dated 2025-04-03, due 17.04.2025."),
    ("Write three tips.", "1. Turn it off.\n2. Close it.\n3. Fix it.\n15. Rest."),
    ("Name two things.", "Firstly height, secondly the 90th percentile."),
    ("Write code.", "```python\nfor i in range(1000): print(i * 37)\n```"),
    ("Which version?", "Use 3.11.4 or see https://example.com/8080/x."),
    ("Order 4711 comes on Friday.", "Your order 4711 comes on Friday."),
    ("Call #443.", "See #512 and § 230."),
    ("What helps?", "Walk 10 minutes, 2 or 3 times a day."),
    ("12,5 Prozent von 80", "Das sind 10 Euro."),
    ("Ein Auto kostet 19.990 Euro, minus 10 %.", "Es kostet 17.991 Euro."),
    ("3 billets à 12,50 €", "Cela fait 37,50 €."),
    ("1,250 grams", "1250 g are 1.25 kg."),
    ("240,000 people", "About 240 thousand."),
    ("The city has 1,234,567 people.", "About 1.2 million, exactly 1,234,567."),
    ("Who was Mozart?", "He (1756-1791) was born on 27 January 1756 and died in 1791."),
    ("quand", "Le 14 juillet à 20 h 15, le 18 octobre à 18h30."),
    ("Wann?", "Am 24. Dezember um 18 Uhr, im 20. Jahrhundert."),
    ("What is where?", "See RFC 2616, page 214, rooms 112 and 204; HTTP/1.1 since Python 3.12."),
    ("Phone?", "Call +49 30 901820, 555-0199 or (555) 123-4567."),
    ("Fifteen people each pay two hundred and fifty.", "15 people pay 3,750, 250 each."),
    ("zweihundertfünfzig Gäste, vingt-cinq, treinta y dos", "250, 25, 32"),
    ("2 1/2 hours, and a third of 90", "150 minutes, and 30"),
    ("A budget of 50k, 30kg", "50,000 and 30 kg"),
    ("30% are red, 35% blue.", "70% are not red, 35% neither."),
    ("238 with 19% tax", "200 without"),
    ("from 9:15 to 11:45", "2.5 hours, 150 minutes"),
    ("5 miles at 68 °F", "8 km at 20 °C"),
    ("1,2,3 and 1,234,56, and 2024.05.01", "1,2,3 and 1,234,56, 20 in all on 2024.05.01"),
    ("Hotel 360, train 89, budget 900", "Together 449, so 451 are left."),
]
INVENTED = [
    (CHAIRS, "In all 1,174 euros.", "1,174"),
    (CHAIRS, "The chairs cost 564.", "564"),
    (GYMS, "The second costs 276.", "276"),
    (VAN, "It takes 68.4 litres.", "68.4"),
    (f"{VAN} 101.898", "The fuel costs 119.88.", "119.88"),
    ("18% of 2,350", "It is 453.", "453"),
    ("How many minutes are 3.5 hours?", "215 minutes.", "215"),
    ("The rent is 1260, for four members.", "Each pays 420.", "420"),
    ("The rent is 1260, for four members.", "Each pays 351.", "351"),
    ("We were 31, 38 and 35.", "114 in all.", "114"),
    ("A price of 80 falls by 15%.", "Now it is 62.50.", "62.50"),
    ("The guarantee is 2 years.", "The guarantee of 2 years covers 5,000 hours.", "5,000"),
    ("It weighs 1.8 kg.", "It weighs 8.1 kg.", "8.1"),
    ("Sales rose from 410 to 455.", "They rose by 37.5%.", "37.5%"),
    ("Sales rose from 410 to 455.", "They rose by 54.", "54"),
    ("3 billets à 12,50 €", "Cela fait 39,50 €.", "39,50"),
    ("Ein Auto kostet 19.990 Euro.", "Es kostet 18.490 Euro.", "18.490"),
    ("12 boxes of 18 kg", "In all 261 kg.", "261"),
    ("A loan of 240,000 at 3.5%", "You pay 1,201.47 a month.", "1,201.47"),
    ("Goods may be returned within 30 days.", "They may be returned within 45 days.", "45"),
    ("Order 4711 comes on Friday.", "Order 4171 comes on Friday.", "4171"),
    ("Tickets cost 23.50.", "A group of 7 pays 146.50.", "146.50"),
    ("Write about our shop.", "We have served 25,000 guests.", "25,000"),
    ("The lamp has 9 watts and costs 24.90.", "The lamp has 9 watts and costs 29.90.", "29.90"),
    ("A hall of 14 by 22 metres", "It has 380 square metres.", "380"),
    ("May: 45 sold", "In May 54 were sold.", "54"),
    ("40 marbles for 400 in money", "48 marbles for money 450", ["48", "450"]),
    ("A load of 30kg", "A load of 38kg", "38kg"),
    ("fifteen chairs for two hundred guests", "15 chairs for 350 guests", "350"),
]


@each(("source", "text"), EXPLAINED)
def test_explained_figures_raise_no_alarm(source: str, text: str) -> None:
    assert unknown_figures(text, [source]) == []


@each(("source", "text", "figure"), INVENTED)
def test_figures_from_nowhere_are_noticed(source: str, text: str, figure: str | list[str]) -> None:
    assert unknown_figures(text, [source]) == ([figure] if isinstance(figure, str) else figure)


def test_what_a_task_does_not_name_of_a_list_is_left_out() -> None:
    shop = "Tent 89.00 a piece, sleeping bag 34.00 a piece; lamp 12.50 a piece. From 3 tents on 10% less."
    for task, left in (
        ("What do 2 tents and 3 sleeping bags cost?", shop.replace("; lamp 12.50 a piece", "")),
        ("What do tents, sleeping bags and lamps cost?", shop),
        ("What does a boat cost?", shop),
        ("What do a tent and a piece of rope cost?", shop),
        ("What does everything cost without the tents?", shop),
        ("Read lamp.txt. What do 2 tents and 3 bags cost?", shop.replace("; lamp 12.50 a piece", "")),
    ):
        assert with_named(shop, task) == left
    crew = "The crew has 12 sailors: 5 cooks and stewards, 7 mates and boys."
    assert with_named(crew, "What do rent and food cost each sailor?") == "The crew has 12 sailors."
    club = "The club has 30 members: 18 women and 12 men. The tax is 9."
    assert with_named(club, "What does each member pay of the tax?") == "The club has 30 members. The tax is 9."


@each(
    ("text", "count"),
    [
        ("Crew: Jo, Kim and Ravi.", "Crew: 3"),
        ("Guests of the evening:\n- Eva Lund\n- Tom\n", "Guests of the evening: 2"),
        ("Eva lives in Oslo, Tom in Riga.", None),
        ("Rules: guests leave by ten, and pets must stay outside at night.", None),
        ("Per hour: Eva 19, Tom 21.", None),
        ("Open every day", None),
    ],
)
def test_lists_without_figures_are_counted(text: str, count: str | None) -> None:
    assert with_count(text) == (count or text)


def test_a_plan_with_figures_that_nobody_gave_goes_back_once(call: Any) -> None:
    team = Team()
    invented, own = plan(step("a", task="Add 546 to 20.")), plan(step("a", task="Add both."))
    state = call(team.planner(invented, own), ASK)
    assert "has figures that the request does not: 546, 20." in team.prompts[1]
    assert (state["status"], state["errors"], team.tasks) == ("completed", [], ["Add both."])
    state = call(team.planner(invented, invented), ASK)
    assert (state["status"], [error["kind"] for error in state["errors"]]) == ("completed", ["UnknownFigures"])


def test_figures_of_an_answer_that_no_result_has_are_said(call: Any) -> None:
    state = call(Team().planner(APART, "Red is 371 metres high."), ASK)
    assert state["status"] == "completed"
    assert [(error["where"], "371" in error["message"]) for error in state["errors"]] == [("synthesize", True)]
