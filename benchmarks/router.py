"""How often a router finds the right agent, by classifier: in scope, and out of scope (where nobody is right).

    python benchmarks/router.py [FOLDER] [--model local|provider:model|none] [--all] [--tune] [--seed 0]

FOLDER holds routing_agents.json, [{"name", "description"}], and routing_queries.jsonl, {"query", "agent"} with agent
null where the query is out of scope; without one, a small set made here is used. Two queries of each agent become its
examples, half of the others are for tuning, and the table is about the other half; the chat model is asked a sample of
40 of them unless `--all` is given. `--tune` chooses the embedding classifier's settings by the tuning half.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

from agents import Agent, chat_model
from agents.models import LocalEmbeddings
from graphs import EmbeddingClassifier, Router

SAMPLE = 40
EXAMPLES = 2
RIGHT_WHEN_SURE = 0.95
"""The tuning takes the settings that route the most queries with at least this share of them rightly routed."""
MADE_HERE = {
    "billing": (
        "Invoices, payments, refunds, prices and discounts.",
        "why was i charged twice; send me last month's invoice; is there a student discount; i want my money back;"
        " can i pay by bank transfer; my card was declined at checkout; how much is the yearly plan",
    ),
    "delivery": (
        "Shipping: where a parcel is, delivery times, addresses and returns.",
        "where is my parcel; it says delivered but nothing came; do you ship to norway; when will it arrive;"
        " i moved, bring it to my new place please; how do i send the shoes back; the box came damaged",
    ),
    "account": (
        "Accounts: sign-in, passwords, e-mail address, privacy and deletion.",
        "i forgot my password; delete my data; the login code never comes; how do i use a new e-mail address;"
        " someone else is using my account; turn off the newsletter; i can not sign in on my phone",
    ),
    "repairs": (
        "Broken devices: faults, warranty, spare parts and updates.",
        "the screen flickers; it does not switch on any more; is a cracked case under warranty; it gets very hot;"
        " the battery is dead by noon; after the update there is no sound; where can i buy a new charger",
    ),
}
OUT_OF_SCOPE = (
    "who won the match last night; write a poem about autumn; what is the capital of peru;"
    " convert 5 miles to kilometres; recommend a good film; how do i boil an egg"
)

Query = dict[str, Any]
Classifier = Callable[[str], Any]


class Split(NamedTuple):
    """The agents with their examples, and the two halves of the other queries."""

    team: list[Agent]
    tuning: list[Query]
    testing: list[Query]


class Score(NamedTuple):
    """How a classifier did."""

    in_scope: float
    """Share of the queries in scope that went to the right agent."""
    out_of_scope: float
    """Share of the queries out of scope that went to nobody."""
    asked_model: float
    """Share of the queries for which the chat model was asked."""
    milliseconds: float
    """Per query, routing included."""
    queries: int


def cases(folder: Path | None) -> tuple[dict[str, str], list[Query]]:
    """Return the agents' descriptions, and the queries."""
    if folder is None:
        asked: list[tuple[str | None, str]] = [(name, texts) for name, (_, texts) in MADE_HERE.items()]
        asked.append((None, OUT_OF_SCOPE))
        queries = [{"query": part, "agent": name} for name, texts in asked for part in texts.split("; ")]
        return {name: description for name, (description, _) in MADE_HERE.items()}, queries
    agents = json.loads((folder / "routing_agents.json").read_text())
    lines = (folder / "routing_queries.jsonl").read_text().splitlines()
    return {agent["name"]: agent["description"] for agent in agents}, [json.loads(line) for line in lines]


def split(descriptions: dict[str, str], queries: list[Query], seed: int) -> Split:
    """Take each agent's examples, and halve what is left, each agent's queries by themselves."""
    chance = random.Random(seed)
    team: list[Agent] = []
    halves: tuple[list[Query], list[Query]] = ([], [])
    for name in (*descriptions, None):
        own = [query for query in queries if query["agent"] == name]
        chance.shuffle(own)
        examples, rest = (own[:EXAMPLES], own[EXAMPLES:]) if name else ([], own)
        for place, item in enumerate(rest):
            halves[place % 2].append(item)
        if name:
            team.append(answering(name, descriptions[name], [example["query"] for example in examples]))
    return Split(team, *(chance.sample(half, len(half)) for half in halves))


def answering(name: str, description: str, examples: Sequence[str] = ()) -> Agent:
    return Agent(name, description, function=lambda task: "done", examples=examples)


def by_words(team: Sequence[Agent]) -> Classifier:
    """Find the agent whose description, or one of whose examples, shares the weightiest words with a query."""
    texts = [(item.name, words) for item in team for words in (item.description, *item.examples)]
    weights = TfidfVectorizer(stop_words="english")
    known = weights.fit_transform([words for _, words in texts])

    def nearest(query: str) -> str | None:
        scores = (weights.transform([query]) @ known.T).toarray()[0]
        return texts[scores.argmax()][0] if scores.max() > 0 else None

    return nearest


def measure(router: Router, queries: Sequence[Query]) -> Score:
    graph = router.compile()
    right: dict[bool, list[bool]] = {True: [], False: []}
    asked, began = 0, time.perf_counter()
    for query in queries:
        state = graph.invoke({"messages": query["query"]})
        chosen = next(iter(state["route"]["chosen"]), None)
        right[query["agent"] is not None].append(chosen == query["agent"])
        asked += state["usage"]["calls"] > 0
    spent = (time.perf_counter() - began) * 1000 / len(queries)
    return Score(share(right[True]), share(right[False]), asked / len(queries), spent, len(queries))


def share(right: Sequence[bool]) -> float:
    return sum(right) / len(right) if right else math.nan


def rows(given: Split, model: Any, sample: int) -> Iterator[tuple[str, Score]]:
    team, _, queries = given
    bare = [answering(item.name, item.description) for item in team]
    embeddings = EmbeddingClassifier(LocalEmbeddings())
    embeddings.scores("", team)  # so that loading the model is not counted
    nearest = EmbeddingClassifier(LocalEmbeddings(), threshold=-1, margin=0)
    yield "TF-IDF, descriptions", measure(Router(bare, classifier=by_words(bare), model=False), queries)
    yield "TF-IDF, with examples", measure(Router(team, classifier=by_words(team), model=False), queries)
    yield "embeddings, the nearest", measure(Router(team, classifier=nearest, model=False), queries)
    yield "embeddings, no model", measure(Router(team, classifier=embeddings, model=False), queries)
    yield "the same, no examples", measure(Router(bare, classifier=embeddings, model=False), queries)
    if model is not None:
        yield "chat model", measure(Router(team, model=model), queries[:sample])
        yield "embeddings, else model", measure(Router(team, classifier=embeddings, model=model), queries[:sample])


def print_table(table: Iterator[tuple[str, Score]]) -> None:
    print(f"{'classifier':26} {'in scope':>9} {'out of scope':>13} {'asked model':>12} {'ms/query':>9} {'queries':>8}")
    for name, score in table:
        print(
            f"{name:26} {score.in_scope:9.0%} {score.out_of_scope:13.0%} {score.asked_model:12.0%}"
            f" {score.milliseconds:9.0f} {score.queries:8}",
            flush=True,
        )


class Guess(NamedTuple):
    """What the embeddings say about one query: the best agent's similarity, its lead, and whether it is right."""

    best: float
    lead: float
    right: bool
    in_scope: bool


def guesses(given: Split) -> list[Guess]:
    classifier = EmbeddingClassifier(LocalEmbeddings())
    found = []
    for item in given.tuning:
        scores = classifier.scores(item["query"], given.team)
        first, second = sorted(scores, key=lambda name: -scores[name])[:2]
        lead = scores[first] - scores[second]
        found.append(Guess(scores[first], lead, first == item["agent"], item["agent"] is not None))
    return found


def tune(given: Split) -> None:
    """Print what each pair of settings gives on the tuning half, the best last, and the sharpness that fits."""
    found = guesses(given)
    best = (0.0, 0.0, 0.0)
    print(f"{'threshold':>9} {'margin':>7} {'routed':>7} {'rightly':>8}   of {len(found)} queries for tuning")
    for threshold, margin in product((0.2, 0.225, 0.25, 0.275, 0.3, 0.325, 0.35, 0.4), (0.0, 0.02, 0.04, 0.06, 0.08)):
        sure = [item for item in found if item.best >= threshold and item.lead >= margin]
        routed, rightly = len(sure) / len(found), share([item.right for item in sure])
        print(f"{threshold:9} {margin:7} {routed:7.0%} {rightly:8.0%}")
        if rightly >= RIGHT_WHEN_SURE:
            best = max(best, (routed, threshold, margin))
    print(f"best: threshold={best[1]}, margin={best[2]}, sharpness={sharpness(found, best[1])}")


def sharpness(found: Sequence[Guess], threshold: float) -> int:
    """Return the steepness under which the confidence says best how often a guess is right."""

    def surprise(steepness: int) -> float:
        classifier = EmbeddingClassifier(LocalEmbeddings(), threshold=threshold, sharpness=steepness)
        sure = [(classifier.confidence(item.best), item.right) for item in found]
        return -sum(math.log(max(confidence if right else 1 - confidence, 1e-9)) for confidence, right in sure)

    return min(range(5, 105, 5), key=surprise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="folder of agents and queries")
    parser.add_argument("--model", default="local", help="chat model, or none")
    parser.add_argument("--all", action="store_true", help="ask the chat model all queries of the testing half")
    parser.add_argument("--tune", action="store_true", help="choose settings by the tuning half instead")
    parser.add_argument("--seed", type=int, default=0, help="another way to split the queries")
    options = parser.parse_args()
    given = split(*cases(options.folder), options.seed)
    if options.tune:
        tune(given)
    else:
        model = None if options.model == "none" else chat_model(options.model)
        print_table(rows(given, model, len(given.testing) if options.all else SAMPLE))


if __name__ == "__main__":
    main()
