"""What a request states in words that leave no doubt is checked, and nothing else."""

from agents import as_requested
from agents.checks import RULES, AsRequested
from agents.checks.guardrails import INSTEAD
from tests.tables import each

W10 = "one two three four five six seven eight nine ten"

BROKEN = [
    ("Write an invitation of at most 8 words.", "You are all invited.", f"{W10}."),
    ("Summarise it in no more than eight words", "It rained.", W10),
    ("Give me 8 words or fewer about rain.", "Rain is wet.", W10),
    ("Schreib höchstens acht Wörter.".replace("acht", "8"), "Es regnet heute.", W10),
    ("Résume en 8 mots au maximum.", "Il pleut.", W10),
    ("Escribe como máximo 8 palabras.", "Llueve.", W10),
    ("Write at least 5 words about tea.", W10, "Tea is hot."),
    (
        "Explain tides in two sentences.",
        "The moon pulls the sea. It rises by 1.5 m, e.g. twice a day.",
        "The moon pulls.",
    ),
    (
        "Explain tides in two sentences.",
        "The moon pulls. So does Dr. Sun's star.",
        "It pulls. It rises. It falls here.",
    ),
    ("Answer in at most 20 characters.", "Yes, of course.", "Yes, of course, whenever you like."),
    ("List at most 3 points.", "- a\n- b", "- a\n- b\n- c\n- d"),
    ("Do not use the words 'best' and 'perfect'.", "A fine lamp, imperfect.", "The Best lamp."),
    ('Write it without the word "very".', "It is everything.", "It is very good."),
    ("Avoid the words “cheap”, “sale” or “now”.", "It costs little.", "A sale!"),
    ("Verwende nicht das Wort „billig“.", "Preiswert.", "Das ist billig."),
    ("N'utilise pas le mot « prix ».".replace("« ", "«").replace(" »", "»"), "Il coûte peu.", "Le prix est bas."),
    ("Use the words 'moss' and 'stone' in a poem.", "Stone under moss.", "Stone under grass."),
    ("List the prices as JSON.", '```json\n{"a": 1}\n```', "a: 1"),
    ("Return a JSON object with the name.", '{"name": "Bo"}', "Here it is: Bo"),
    ("Compare both as a table.", "| a | b |\n|---|---|\n| 1 | 2 |", "a is 1, b is 2"),
    ("Write three tips as a numbered list.", "1. a\n2. b\n3. c", "- a\n- b\n- c"),
    ("Answer in bullet points.", "- a\n- b", "a and b"),
    ("Translate 'We are closed' into French.", "Nous sommes fermés.", "We are closed and that is the end of it."),
    (
        "Answer in German, please: why is the sky blue?",
        "Das ist die Streuung.",
        "It is the light of the sun that is blue.",
    ),
    ("Schreib den Brief auf Englisch.", "We are sorry for this.", "Es tut uns leid, das ist nicht mit der Post."),
    (
        "Write a notice of at most 30 words: closed on 24 December from 17:00.",
        "Closed on 24 December, 5 pm.",
        "Closed!",
    ),
    (
        "Write a text of at most 40 words: it costs 24.90 and weighs 1,250 g.",
        "24,90 euros, 1250 g.",
        "24.90 euros, light.",
    ),
]

FREE = [
    ("What is the capital of Australia?", "Canberra."),
    ("How many words has the longest sentence?", W10),
    ("I have at most 3 days in Rome; what should I see?", "The Forum, the Pantheon, Trastevere and one museum a day."),
    ("Within how many days may goods be returned?", "Within 30 days."),
    ("Don't forget the milk, she said. Who said it?", "She did."),
    ("Write about women in French cinema.", "There are many of them and this is the story of two."),
    ("What does 'best' mean?", "The best is what nothing is better than."),
    ("Read prices.json and tell me the total.", "It is 12."),
    ("What is on the table in the hall?", "A lamp."),
    ("Explain what a JSON schema is.", "It is a form for data."),
    ("Write three tips, each one sentence.", "Turn it off. Close it. Fix it."),
    (
        "Add the costs up. Then write a note of two sentences with both.",
        "It is 12. It is so. This is the note. That too.",
    ),
    ("Sort the numbered list in notes.txt.", "a, b"),
    ("My 12 cats ate 34.50 euros of food. How much each?", "About 2.88."),
    ("Which German words come from French?", "The words are of many kinds."),
    ("Translate this: 'no more than two people'", "nicht mehr als zwei"),
    ("Warum ist der Himmel blau?", "Wegen der Streuung."),
    ("Combien coûtent 3 billets à 12,50 ?", "37,50 euros."),
    ("Write an e-mail to Ms Lind about order 4711.", "Dear Ms Lind, it comes on Friday."),
    ("Use the words of the customer where you can.", "It is broken."),
    ("What do 12 cups at 4.50 cost? Then write a note of two sentences with that.", "It is 54. That is all."),
    ("Work out what 12 cups at 4.50 cost, and write a note of two sentences.", "It is 54. That is all."),
]


@each(("request_", "good", "bad"), BROKEN)
def test_what_a_request_states_is_checked(request_: str, good: str, bad: str) -> None:
    assert as_requested(good, {"task": request_}) is None
    assert as_requested(bad, {"task": request_})


@each(("request_", "answer"), FREE)
def test_ordinary_wording_states_nothing(request_: str, answer: str) -> None:
    assert as_requested(answer, {"task": request_}) is None


def test_a_rule_of_ones_own_is_added() -> None:
    def polite(request: str):  # type: ignore[no-untyped-def]
        if "politely" in request:
            yield lambda text: None if "please" in text else "Say please."

    check = AsRequested([*RULES, polite])
    assert check("Go.", {"task": "Say it politely."}) == "Say please."
    assert check("Go, please.", {"task": "Say it politely."}) is None


def test_a_text_that_is_too_long_comes_back_without_sentences_that_have_nothing_of_the_request() -> None:
    task = "Write at most 12 words to Mr Hill: the boiler is mended on 4 May."
    letter = "Dear Mr. Hill,\n\nWe hope that you are well. The boiler is mended on 4 May.\n\nYours, [Name]"
    found = as_requested(letter, {"task": task})
    assert found is not None
    assert found.partition(INSTEAD)[2].strip() == letter.replace("We hope that you are well. ", "")
    assert as_requested(letter.replace("well", "well with the boiler on 4 May"), {"task": task}) == (
        "It has 24 words, but at most 12 are allowed. Make it shorter."
    )
    items = "- You should look at the light.\n- Turn the heater off now."
    assert INSTEAD not in str(as_requested(items, {"task": "Write tips of at most 6 words."}))
