"""Figures in texts, and those among them that come from nowhere."""

# ruff: noqa: RUF001 - dashes and signs of several languages
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from statistics import fmean

from agents.runtime import reads_foreign_text

MAX_TEXT = 20_000
"""Characters of a text that are searched for figures, from its beginning."""
MOST_COMBINED = 60
"""Figures that are combined with each other; of longer texts only the figures themselves count."""
SMALL_COUNTS = 12
"""Whole numbers up to this are counts, ratings and words as often as figures: they are never noticed."""

MONTHS = (
    r"(?-i:Jan(?:uary?)?|Feb(?:ruary?)?|M(?:ar(?:ch)?|ärz)|Apr(?:il)?|Ma[iy]|Jun[ei]?|Jul[iy]?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|O[ck]t(?:ober)?|Nov(?:ember)?|De[cz](?:ember)?|janvier|février|mars|avril|mai|juin|juillet|août|septembre|octobre"
    r"|novembre|décembre|enero|febrero|marzo|abril|mayo|junio|julio|agosto|septiembre|octubre|noviembre|diciembre)\b\.?"
)
_DAY = r"(?:3[01]|[012]?\d)"
_DAYS = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?"
_LABELS = (
    r"(?:(?-i:EN|EU|US)|version|release|python|java|php|node|ubuntu|windows|android|ios|http/|usb|iso|rfc|din|boeing|airbus|psalm|section"
    r"|article|art\.|chapter|figure|fig\.|step|line|port|bus|tram|gate|route|room|page|error|size|day|week|no\.|nr\.|abschnitt"
    r"|artikel|kapitel|schritt|zeile|linie|raum|zimmer|seite|größe|chapitre|étape|ligne|salle|taille|artículo|capítulo|paso"
    r"|línea|sala|página|talla)s?"
)
_NUMBER_OF = r"\d{1,5}(?:\.\d{1,3}){0,2}\b(?![.,]\d)"
_NOT_FIGURES = re.compile(
    r"```.*?(?:```|\Z)|`[^`\n]*`|[a-zA-Z]{1,20}://\S+|\brgba?\([^()\n]{0,40}\)"
    r"|\b(?-i:[A-Z]{2}\d\d(?: ?[A-Z\d]{4}){3,7})(?: ?\d{1,3})?\b|\b\d{1,20}(?:-\d{1,20}){2,6}\b|\b\d{3}-\d{4}\b"
    r"|\b(?:tel|phone|call|dial|fax|ruf\w*|appel\w*|llam\w*|isbn)\b[.: ]{0,3}[+(\d][\d ()/-]{1,20}"
    r"(?:(?:or|oder|ou|o) \d[\d ()/-]{1,20})?|(?<![\w.,])[+(]\d{1,4}\)?[ /-][\d ()/-]{5,20}|\b0\d{2,4}[ /-]\d{3,10}\b"
    rf"|\b{_DAY}(?:\.|er|st|nd|rd|th)? ?(?:de |of )?{MONTHS}(?: (?:de )?\d{{4}}\b)?"
    rf"|\b{MONTHS} {_DAY}\b(?:,? \d{{4}}\b)?|\b{_DAYS}\.?,? {_DAY}\b"
    rf"|\b{_LABELS} ?{_NUMBER_OF}(?:(?:,| or| and| oder| und| ou| et| y|-|–| to| bis) ?{_NUMBER_OF}){{0,5}}"
    r"|\b\d{1,4}([./-])\d{1,2}\1\d{2,4}\b|\b(?:19|20)\d\d\b(?![.,]\d|\s?[%€$£])"
    r"|\((?:1\d|20)\d\d ?[-–] ?(?:1\d|20)\d\d\)|\b\d{1,4} (?:BC|AD|BCE|CE)\b"
    r"|\b(?:in|since|until|im Jahre?|seit|bis|en|depuis|desde|hasta|began|ended|begann|endete) 1\d{3}\b"
    r"(?=[.,;:!?)\n]| (?:and|und|et|y)\b|\Z)|\b\d{1,2}:\d\d(?::\d\d)?\b"
    r"|\b\d{1,2}(?:\.\d\d)? ?(?:[ap]\.?m\b|Uhr\b|o'clock)"
    r"|\b\d{1,2} ?h ?\d\d\b|\b(?:à|vers|dès|at|um|las) \d{1,2} ?h(?: ?\d\d)?\b|\b\d{1,2}\.\d\d h\b"
    r"|\b\d+(?:\.\d+){2,}\b|\b\d+(?:st|nd|rd|th|er|re|e|ème)\b|\b\d+[ºª]|\b100 ?%"
    r"|\b\d{1,2}\. (?:Jahrhundert|Tag|Mal|Woche|Platz|Stock|Klasse)|^[ \t]*[(\[]?\d+[.):\]](?=\s)|[#§№]\s?\d+",
    re.DOTALL | re.MULTILINE | re.IGNORECASE,
)
"""Code, addresses, telephone numbers, dates, years, times, versions, ordinals, and numbers of lists and names."""
_FIGURE = re.compile(
    r"(?<![\w.,])(\d{1,15}(?:[.,' \u00a0\u202f]\d{3})*(?:[.,]\d{1,15})?)"
    r"(?:(?P<scale>k|m|bn|e\d)|[kcm]?[mgl]|km/h|kWh?|[kMGT]B|h|min)?(?!\w)%?"
)
_SCALES = {"k": 1e3, "m": 1e6, "bn": 1e9} | {f"e{power}": 10.0**power for power in range(10)}
_FRACTIONS = {"¼": 0.25, "½": 0.5, "¾": 0.75, "⅓": 1 / 3, "⅔": 2 / 3}
_FRACTION = re.compile(r"(?<![\w./])(?:(\d{1,4}) )?(\d{1,2})/(\d{1,2})(?![\w/])|(\d{1,4})?([¼½¾⅓⅔])")
_TIME = re.compile(r"\b(\d{1,2})[:h](\d\d)\b")
_WORDS: dict[str, float] = {
    "half": 0.5, "halb": 0.5, "hälfte": 0.5, "moitié": 0.5, "mitad": 0.5, "third": 1 / 3, "thirds": 2 / 3,
    "tiers": 1 / 3, "drittel": 1 / 3, "tercio": 1 / 3, "quarter": 0.25, "quarters": 0.75, "viertel": 0.25,
    "quart": 0.25, "cuarto": 0.25, "both": 2, "twice": 2, "dozen": 12, "dutzend": 12, "douzaine": 12, "docena": 12,
}  # fmt: skip
NUMBER_WORDS: dict[str, int] = {
    word: number
    for numbers, words in (
        (range(2, 20), "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
         " seventeen eighteen nineteen"),
        (range(2, 13), "zwei drei vier fünf sechs sieben acht neun zehn elf zwölf"),
        (range(2, 17), "deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize"),
        (range(2, 11), "dos tres cuatro cinco seis siete ocho nueve diez"),
        (range(12, 20), "doce trece catorce quince dieciséis diecisiete dieciocho diecinueve"),
        (range(20, 100, 10), "twenty thirty forty fifty sixty seventy eighty ninety"),
        (range(20, 100, 10), "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig"),
        (range(20, 70, 10), "vingt trente quarante cinquante soixante"),
        (range(20, 100, 10), "veinte treinta cuarenta cincuenta sesenta setenta ochenta noventa"),
        ((16, 17, 100, 100, 100, 100), "sechzehn siebzehn hundred hundert cent cien"),
        ((1000, 1000, 1000, 1000, 10**6, 10**6, 10**6), "thousand tausend mille mil million millionen millones"),
    )
    for number, word in zip(numbers, words.split(), strict=True)
}  # fmt: skip
_NUMBER_WORD = "|".join(sorted(NUMBER_WORDS, key=len, reverse=True))
_SPELLED = re.compile(
    rf"\b(?:(?:{_NUMBER_WORD})(?:und|[ -](?:(?:and|et|y) )?)?){{0,6}}(?:{_NUMBER_WORD})s?(?!\w)", re.IGNORECASE
)
_STEM = 4
"""Letters by which a word is the same in singular and plural."""
_WORD = re.compile(
    r"(?<![^\W\d_])(?!(?:all|and|any|are|for|from|has|have|how|its|per|the|who|with|das|der|des|die|ein|für|ist|mit|und|les|pour|sont|une|con|del"
    r"|las|los|para|por|una)(?![^\W\d_]))[^\W\d_]{3,}"
)
"""Words, except short ones and those that do not name a thing."""
_REST = re.compile(
    r"\b(?:but|except|without|others?|rest|every\w*|remain\w*|ohne|außer|ander\w*|übrig\w*|sauf|sans|autres?|salvo|otr[oa]s?)\b",
    re.IGNORECASE,
)
_FILE_NAME = re.compile(r"[\w./-]*[\w-]\.[a-zA-Z]\w{0,9}\b")
_AND = re.compile(r"\s(?:and|und|et|y)\s")
_UNITS = (2, 7, 12, 24, 52, 60, 365, 1000, 1_000_000)
"""Factors between units."""
_MEASURES = (1.609344, 2.20462, 2.54, 3.6, 3.78541, 28.3495, 30.48)
"""Factors between metric units and others, and between metres per second and kilometres per hour."""
_OF_MEASURES = re.compile(
    r"mile|mph|km/h|m/s|feet|foot|inch|\blb|pound|pfund|gallon|\boz|ounce|meile|zoll|pied|pouce|milla|°"
)
_OF_TIME = re.compile(r"\bh\b|hour|minut|stunde|heure|hora|uhr|\d:\d\d")
_OF_SHARES = re.compile(r"%|per ?cent|prozent|pour ?cent|por ciento")


@reads_foreign_text()
def figures_in(text: str) -> dict[str, list[float]]:
    """Return the figures of a text as written, each with the values that it may have: `1,250` is 1250 or 1.25."""
    return _figures(_NOT_FIGURES.sub(" ", text[:MAX_TEXT]))


def _figures(text: str) -> dict[str, list[float]]:
    return {
        match[0].strip(): [value * scale for value in readings_of(match[1]) for scale in {1.0, _scale_of(match)}]
        for match in _FIGURE.finditer(text)
    }


def _scale_of(figure: re.Match[str]) -> float:
    """Return the factor of a figure like `50k` or `4.2m`, which may be metres as well."""
    return _SCALES.get(figure["scale"], 1.0)


def readings_of(written: str) -> Iterator[float]:
    """Yield the values that a figure may have: `1,250` is 1250 or 1.25, `1.250,50` is 1250.5."""
    digits = re.sub(r"[' \u00a0\u202f]", "", written)
    if "," in digits and "." in digits:  # the last of both is the point
        point = max(",.", key=digits.rfind)
        yield float(digits.replace("," if point == "." else ".", "").replace(",", "."))
        return
    groups = re.split(r"[.,]", digits)
    if len(groups) > 1 and all(len(group) == 3 for group in groups[1:]):
        yield float("".join(groups))
    if len(groups) == 2:
        yield float(".".join(groups))
    elif len(groups) == 1:
        yield float(digits)


def unknown_figures(text: str, sources: Iterable[str], *, derived: bool = True, counts: bool = False) -> list[str]:
    """Return the figures of a text that its sources do not explain.

    A figure is explained by one of a source, also rounded, as a percentage, or written as a word. With `derived` it may
    also be the sum, difference, product or quotient of two, or the sum of all, and so of the explained figures of the
    text. Only with `counts` small ones count.
    """
    asked = {written: values for written, values in figures_in(text).items() if counts or not _is_count(values)}
    if not asked:
        return []
    sources = [source[:MAX_TEXT] for source in sources]
    known = {value for source in sources for value in _known(source)}
    if not derived:
        return _unexplained(asked, known | {value * factor for value in known for factor in (100, 0.01)})
    about = f"{text} {' '.join(sources)}".casefold()
    averages = {
        fmean(values)
        for source in sources
        if (values := [value for likely in _figures(source).values() for value in likely[:1]])
    }
    unknown = _unexplained(asked, known | averages | set(_derived(known, about)))
    if not unknown or len(unknown) == len(asked):
        return unknown
    known |= {value for written, values in asked.items() if written not in unknown for value in values}
    return _unexplained({written: asked[written] for written in unknown}, set(_derived(known, about)))


def _unexplained(asked: Mapping[str, Sequence[float]], known: Iterable[float]) -> list[str]:
    ordered = sorted(map(abs, known))
    return [
        written for written, values in asked.items() if not any(_is_near(written, value, ordered) for value in values)
    ]


def by_figure(text: str) -> str:
    """Return the parts of a text that have a figure each, the greatest first; empty if there are fewer than two."""
    values = _parts(text)
    return "; ".join(sorted(values, key=values.__getitem__, reverse=True)) if len(values) > 1 else ""


def with_named(text: str, task: str) -> str:
    """Return a text without parts with a figure each that a task does not name, if it names others and not the rest."""
    asked = _words(_FILE_NAME.sub(" ", task))
    parts = {part: words for part in _parts(text) if (words := _words(part))}
    left_out = [part for part, words in parts.items() if asked.isdisjoint(words)]
    if len(left_out) == len(parts) or _REST.search(task):
        return text
    for part in left_out:
        text = text.replace(part, "…")
    return re.sub(r"(?<=\.)\s*…\.?|[,;:]?\s*…", "", re.sub(r"…(?:[,;\n]\s*|\s(?:and|und|et|y)\s)", "", text))


@reads_foreign_text()
def with_count(text: str) -> str:
    """Return `Crew: 3` for `Crew: Jo, Kim and Ravi`, which a small model cannot count; other texts as they are."""
    heading, _, listed = text[:MAX_TEXT].strip().partition(":")
    *first, last = re.split(r"[\n,;]", listed)
    items = [item for part in (*first, *_AND.split(f" {last}")) if (item := part.strip(" \t.-*•"))]
    is_list = len(items) > 1 and "\n" not in heading and all(len(item.split()) < 4 for item in items)
    return f"{heading}: {len(items)}" if is_list and not any(map(str.isdigit, text)) else text


def _words(text: str) -> set[str]:
    return {word.removesuffix("s")[:_STEM] for word in _WORD.findall(text.casefold())}


def _parts(text: str) -> dict[str, float]:
    parts = [part.strip() for part in re.split(r"[,;:\n]|\.(?!\d)|\s(?:and|und|et|y)\s(?=\d)", text[:MAX_TEXT])]
    return {part: max(values[0]) for part in parts if len(values := [*figures_in(part).values()]) == 1 and values[0]}


def _known(source: str) -> Iterator[float]:
    source = source[:MAX_TEXT]
    found = [value for values in _figures(source).values() for value in values]
    yield from found
    words = set(re.findall(r"[^\W\d_]+", source.casefold()))
    yield from (value for word, value in _WORDS.items() if word in words)
    for spelled in _SPELLED.findall(source.casefold()):
        yield from _spelled(spelled)
    for whole, part, of, glued, sign in _FRACTION.findall(source):
        yield float(whole or glued or 0) + (_FRACTIONS[sign] if sign else int(part) / (int(of) or 1))
    for hours, minutes in _TIME.findall(source):
        yield from (int(hours) + int(minutes) / 60, int(hours) * 60 + int(minutes))
    if len(found) > 2:
        yield sum(found)


def _spelled(number: str) -> Iterator[float]:
    """Yield the parts of a number in words, and the whole: `two hundred and fifty`."""
    total = part = 0
    for word in re.findall(_NUMBER_WORD, number):
        value = NUMBER_WORDS[word]
        yield value
        if value < 100:
            part += value
        elif value == 100:
            part = max(part, 1) * value
        else:
            total, part = total + max(part, 1) * value, 0
    yield total + part


def _derived(known: set[float], about: str) -> Iterator[float]:
    """Yield what follows from one figure by a unit, from two by an operation, and as a percentage.

    Operations that only units, times or percentages need are tried where a text is about these: of two figures among
    others half of all small numbers would follow from some operation.
    """
    measures, times, shares = (kind.search(about) is not None for kind in (_OF_MEASURES, _OF_TIME, _OF_SHARES))
    factors = (*_UNITS, *(_MEASURES if measures else ()))
    for figure in known:
        yield from (figure * 100, figure / 100)
        yield from (result for factor in factors for result in (figure * factor, figure / factor))
        yield from (figure * 1.8 + 32, (figure - 32) / 1.8) if measures else ()
        yield from (figure % 60,) if times else ()
        yield from (100 - figure,) if shares else ()
    if len(known) > MOST_COMBINED:
        return
    for first, second in permutations(known, 2):
        share = first * second / 100
        yield from (first + second, first - second, first * second, share, first + share, first - share)
        yield from (first * 60 + second,) if times else ()
        yield from (100 - first - second, first / (1 + second / 100)) if shares and second != -100 else ()
        if second:
            ratio = first / second
            yield from (ratio, 100 * ratio, 100 * (ratio - 1))


def _is_count(values: list[float]) -> bool:
    return all(value == int(value) and value <= SMALL_COUNTS for value in values)


def _is_near(written: str, value: float, ordered: Sequence[float]) -> bool:
    figure = _FIGURE.match(written)
    number, scale = (figure[1], _scale_of(figure)) if figure else (written, 1.0)
    digits, last = float(re.sub(r"\D", "", number)), re.split(r"[.,]", number)[-1]
    places = len(last) if last != number and value not in (digits, digits * scale) else 0
    margin = 0.5000001 * 10.0**-places * (scale if value >= scale else 1)
    if not places and value >= 1000 and value % 100 == 0:  # "about 12,300"
        margin = max(margin, 50)
    place = bisect_left(ordered, value - margin)
    return place < len(ordered) and ordered[place] <= value + margin
