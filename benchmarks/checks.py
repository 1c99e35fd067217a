"""Measure the checks without a model: wrong texts that pass, and right ones that are sent back.

    python benchmarks/checks.py

`checks.jsonl` has what a text is about (sources of figures, or a request), the text, and whether it is right.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from agents import as_requested
from agents.checks import unknown_figures

CHECKS: dict[str, Callable[[str, str], object]] = {
    "figures": lambda about, text: unknown_figures(text, [about]),
    "request": lambda about, text: as_requested(text, {"task": about}),
}


def main() -> None:
    """Print the counts of each check, then each text on which it errs."""
    lines = Path(__file__).with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line) for line in lines]
    wrong = [item for item in texts if bool(CHECKS[item["check"]](item["about"], item["text"])) == item["right"]]
    for name in CHECKS:
        for is_right, words in ((False, "wrong texts, passed"), (True, "right texts, sent back")):
            kind = [item for item in texts if (item["check"], item["right"]) == (name, is_right)]
            errs = [item for item in kind if item in wrong]
            print(f"{name}: {len(kind)} {words} {len(errs)}")
    for item in wrong:
        print(f"  {item['check']}, {'right' if item['right'] else 'wrong'}: {item['about']!r} {item['text']!r:.100}")


if __name__ == "__main__":
    main()
