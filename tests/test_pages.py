"""From HTML to text: what a model sees of a page, however the page is made."""

import time

import pytest

from agents.tools.pages import Page, page_text

ARTICLE = """<!doctype html><title>Tea &amp; Time</title><style>p {}</style><script>if (a<b) alert("x")</script>
<body><nav><a href="/">Home</a></nav><h1>All about   <em>tea</em></h1><p>Green
tea, <a href="black?x=1&amp;y">black tea</a><a href="#note">*</a><br>and more.</p>
<ol><li>Boil<li>Pour<ul><li>slowly</ul></ol><table><tr><th>Tea<th>Minutes<tr><td>Green<td>2</table>
<pre>
  kettle
    on</pre><noscript><p>No scripts!</p></noscript><svg><title>Cup</title></svg>2 < 3 <!-- hidden -->"""


def html(text: str, **settings: bool) -> str:
    return page_text(Page("https://tea.example/guide/", "text/html", "utf-8", text.encode()), **settings)


def test_a_page_becomes_text() -> None:
    assert html(ARTICLE) == (
        "Tea & Time\n\nHome\n\n# All about tea\n\nGreen tea, black tea*\nand more.\n\n- Boil\n- Pour\n\n- slowly\n\n"
        "| Tea | Minutes\n| Green | 2\n\n  kettle\n    on\n\nCup\n\n2 < 3"
    )


def test_links_are_shown_on_request() -> None:
    text = html(ARTICLE, links=True)
    assert "black tea <https://tea.example/guide/black?x=1&y>*" in text
    assert html('<a href="javascript:x()">a</a> <a href="http://[">b</a> <a>c</a>', links=True) == "a b c"


@pytest.mark.parametrize(
    ("content", "charset"),
    [
        ("Grüße".encode("latin-1"), "latin-1"),
        ('<meta charset="iso-8859-1">Grüße'.encode("latin-1"), None),
        ("\ufeffGrüße".encode(), None),
        ("\ufeffGrüße".encode("utf-16"), None),
        ("<meta charset=utf-8>Grüße".encode(), "no-such-thing"),
    ],
)
def test_encodings(content: bytes, charset: str | None) -> None:
    assert page_text(Page("", "text/html", charset, content)).lstrip("\ufeff") == "Grüße"


@pytest.mark.parametrize(
    "hostile",
    [
        "<div>" * 50_000,
        "<ul><li>" * 12_000,
        "<" * 250_000,
        "<!--" * 75_000,
        '<a href="' * 25_000,
        "<a " + "b " * 125_000,
        "</p>" * 75_000,
        "<script>" + "<!--<script>" * 25_000,
        "<td>" * 75_000,
        "&#x41;" * 50_000,
        "<svg>" * 50_000,
        " " * 250_000,
        "\n \t" * 75_000 + "x",
        "<pre>" + " \n" * 125_000 + "x" + " " * 125_000 + "x",
    ],
)
def test_hostile_pages_take_little_time(hostile: str) -> None:
    began = time.monotonic()
    html(hostile)
    assert time.monotonic() - began < 5
