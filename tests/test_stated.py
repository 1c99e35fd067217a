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

TWO, FOUR = "It is so. It is.", "a\nb\nc\nd"
LIST = "- a\n- b\n- c"
GERMAN = "Das ist der Text und er ist nicht lang."
BROKEN += [
    ("Describe tea using fewer than twenty words.", W10, f"{W10} {W10} {W10}"),
    ("Don't write more than 10 words.", W10, f"{W10} more"),
    ("Write a 10-word slogan.", W10, f"{W10} {W10}"),
    ("Write a summary of about 10 words.", f"{W10} more", f"{W10} {W10}"),
    ("Write exactly 5 words.", "One two three four five.", W10),
    ("Write 5 to 10 words about tea.", W10, f"{W10} more"),
    ("Réponds en moins de 10 mots.", W10, f"{W10} more"),
    ("Answer in one or two sentences.", TWO, f"{TWO} {TWO}"),
    ("Erkläre es in zwei bis drei Sätzen.", TWO, f"{TWO} {TWO}"),
    ("Can you explain it in two sentences?", TWO, f"{TWO} {TWO}"),
    ("Can you give me a table of prices?", "| a |\n|---|\n| 1 |", "a is 1"),
    ("What is photosynthesis, in two sentences?", TWO, f"{TWO} {TWO}"),
    ("Write a poem of four lines.", FOUR, "a\nb"),
    ("Write a 4-line poem.", FOUR, f"{FOUR}\ne"),
    ("Answer in one paragraph.", TWO, "A.\n\nB."),
    ("List the top 3 risks.", LIST, f"{LIST}\n- d"),
    ("Nenne genau drei Gründe.", LIST, "1. a\n2. b"),
    ("Write three tips, each one sentence, of at most 10 words in all.", LIST, f"{W10} {W10}"),
    ("Don't use the word good.", "It is fine.", "It is good."),
    ("Forbidden words: cheap, free.", "It costs little.", "It is free."),
    ("The words 'best' and 'cheap' are forbidden.", "Fine.", "The best."),
    ("Verwende das Wort „gut“ nicht.", "Es geht.", "Es ist gut."),
    ("The text must contain the phrase 'by the sea'.", "We live by the sea.", "We live there."),
    ("Include the words moss, stone and rain.", "Moss, stone, rain.", "Moss and stone."),
    ("Begin with 'Dear' and end with a question.", "Dear Ann, is it so?", "Dear Ann, it is so."),
    ("End with 'Best regards'.", "Hello.\nBest regards", "Hello."),
    ("Write it without exclamation marks.", "Fine.", "Fine!"),
    ("Write it without bullet points.", "Fine.", LIST),
    ("Use German.", GERMAN, "It is the text and it is not of this kind."),
    ("Translate 'I do not know' to German.", GERMAN, "It is the text and it is not of this kind."),
    ("Bitte auf Deutsch antworten.", GERMAN, "It is the text and it is not of this kind."),
    ("Return the data as CSV.", "name,age\nBo,3", "Bo is three"),
    ("Make a small table of prices.", "| a |\n|---|\n| 1 |", "a is 1"),
    ("Write a Python function that adds.", "```python\ndef add(): ...\n```", "Use the plus sign."),
    ("Write it in capital letters.", "IT IS", "It is"),
    ("Answer only yes or no: is tea hot?", "Yes.", "It depends."),
    ("Write to Ms Okafor in at most 10 words: come on 3 March.", "Ms Okafor, come on 3 March.", "Come on 3 March."),
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
    ("Write two tips, each of at most 5 words.", "- Turn it off at once.\n- Close it when you can."),
    ("The customer said: do not use the 'red' paint. What did they mean?", "No red paint."),
    ("What happens if I don't use 'sudo'?", "Without sudo it fails."),
    ("Write about a man with two characters.", "He is kind and cruel."),
    ("Is a text of 500 words long?", "No."),
    ("How do you say 'more than 20 words' in German?", "mehr als 20 Wörter"),
    ("Do not answer in English; I am German.", GERMAN),
    ("Write code as a table-driven test.", "def test(): pass"),
    ("Use the table in prices.txt to compute it.", "It is 12."),
    ("Describe a room with a table and two chairs.", "It is small."),
    ("Explain how to make a table from oak.", "Saw it."),
    ("Explain comments in JSON.", "There are none."),
    ("Calculate the mean of 4 and 8, and explain in one sentence what it is.", "It is 6. A mean is a sum by a count."),
    ("Start the server with 'npm start' and say what it does.", "It listens."),
    ("Use German flour for the dough. What else?", "The salt and the water, of course, with it."),
    ("In French cinema, who is the best?", "It is Truffaut, and that is the truth of the matter."),
    ("List three pros and three cons.", f"{LIST}\n{LIST}"),
    ("Work out what 2 cups at 3 cost, and name two teas.", "- 6\n- green\n- black"),
    ("Name two teas and work out what 2 cups at 3 cost.", "- green\n- black\n- 6"),
    ("Write a note of at most 5 words, then explain it.", W10),
    ("Can you count to two in French?", "un, deux"),
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
