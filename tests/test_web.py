"""Fetching pages: from a real server on loopback, with the address policy as a parameter; and what is refused."""

import asyncio
import gzip
import ssl
import time
from collections.abc import Iterator
from typing import ClassVar

import anyio
import pytest
import trustme
from langchain_core.tools import ToolException

from agents.tools import can_search, fetch_page, fetch_tool, web_search
from agents.tools.web import Fetcher, results_text
from tests.loopback import Handler, Loopback
from tests.tables import each

HTML = {"Content-Type": "text/html; charset=utf-8"}
Reply = tuple[int, dict[str, str], bytes]


class Website(Loopback):
    """Serves what a test puts under `pages`; keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(Answer)
        self.pages: dict[str, Reply] = {}
        self.requests: list[tuple[str, dict[str, str]]] = []


class Answer(Handler):
    server: Website
    drip: ClassVar[bytes] = b"X-Slow: 1\r\n"

    def serve(self, body: bytes) -> None:
        self.server.requests.append((self.path, dict(self.headers)))
        if self.path == "/slow":
            self.never_end()
            return
        status, headers, content = self.server.pages.get(self.path, (404, HTML, b""))
        self.answer(content, headers, status)

    def never_end(self) -> None:
        """Send a header line now and then: every single read is quick, the whole never ends."""
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            for _ in range(1000):
                self.wfile.write(self.drip)
                time.sleep(0.05)
        except OSError:  # the reader left
            self.close_connection = True


@pytest.fixture
def site() -> Iterator[Website]:
    with Website() as server:
        yield server


def anything(_: str) -> bool:
    return True


def only_loopback(address: str) -> bool:
    return address == "127.0.0.1"


LOCAL = Fetcher(allowed=only_loopback)


def fetch(url: str, fetcher: Fetcher = LOCAL, start: int = 0, *, links: bool = False) -> str:
    return asyncio.run(fetcher.fetch(url, start, links=links))


def resolving(**known: str) -> Fetcher:
    """Return a fetcher with a telephone book of its own; a name may have several addresses."""

    async def resolve(host: str, port: int) -> list[str]:
        return known[host.replace(".", "_")].split()

    return Fetcher(allowed=only_loopback, resolve=resolve)


# Addresses


@pytest.mark.parametrize("addresses", ["127.0.0.1 10.0.0.1", "10.0.0.1 127.0.0.1", "10.0.0.1"])
def test_every_address_of_a_host_must_be_allowed(site: Website, addresses: str) -> None:
    with pytest.raises(ToolException, match="not on the public internet"):
        fetch(f"http://two.example:{site.server_port}/", resolving(two_example=addresses))
    assert site.requests == []


def test_a_host_that_is_resolved_anew_for_each_question_gains_nothing(site: Website) -> None:
    """DNS rebinding: a harmless address for the check, another one for the connection."""
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])

    async def rebinding(host: str, port: int) -> list[str]:
        return next(answers)

    site.pages["/"] = 200, HTML, b"checked"
    fetcher = Fetcher(allowed=only_loopback, resolve=rebinding)
    assert fetch(f"http://rebinding.example:{site.server_port}/", fetcher) == "checked"
    assert site.requests[0][1]["Host"] == f"rebinding.example:{site.server_port}"
    assert next(answers) == ["10.0.0.1"], "the name was asked for once only"


def test_the_next_address_is_tried_when_one_is_dead(site: Website) -> None:
    site.pages["/"] = 200, HTML, b"alive"
    fetcher = resolving(both_example="::1 127.0.0.1")
    fetcher = Fetcher(allowed=anything, resolve=fetcher.resolve)
    assert fetch(f"http://both.example:{site.server_port}/", fetcher) == "alive"


def test_the_environments_proxy_is_not_used(site: Website, monkeypatch: pytest.MonkeyPatch) -> None:
    site.pages["/"] = 200, HTML, b"direct"
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(f"{site.url}/") == "direct"


def test_a_certificate_must_be_for_the_name(site: Website) -> None:
    authority = trustme.CA()
    serving, trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    authority.issue_cert("right.example").configure_cert(serving)
    authority.configure_trust(trusting)
    names: list[str | None] = []
    serving.sni_callback = lambda _, name, __: names.append(name)
    site.socket = serving.wrap_socket(site.socket, server_side=True)
    site.pages["/"] = 200, HTML, b"private"
    book = resolving(right_example="127.0.0.1", wrong_example="127.0.0.1").resolve
    fetcher = Fetcher(allowed=only_loopback, resolve=book, tls=lambda: trusting)

    assert fetch(f"https://right.example:{site.server_port}/", fetcher) == "private"
    with pytest.raises(ToolException, match="certificate"):
        fetch(f"https://wrong.example:{site.server_port}/", fetcher)
    assert names == ["right.example", "wrong.example"]


# Redirects


def test_follows_redirects(site: Website) -> None:
    site.pages["/old/page"] = 301, {"Location": "../new?q=a%20b#part"}, b""
    site.pages["/new?q=a%20b"] = 200, HTML, b"moved"
    assert fetch(f"{site.url}/old/page") == "moved"


@each(
    ("location", "why"),
    [
        ("http://10.0.0.1/", "not on the public internet"),
        ("http://[::ffff:10.0.0.1]/", "not on the public internet"),
        ("//169.254.169.254/latest/", "not on the public internet"),
        ("http://2130706433/", "not a valid host"),
        ("http://me:you@127.0.0.1/", "user name"),
        ("file:///etc/passwd", "not a web address"),
        ("http://[", "not a valid host"),
    ],
)
def test_every_redirect_is_checked(site: Website, location: str, why: str) -> None:
    site.pages["/"] = 302, {"Location": location}, b""
    with pytest.raises(ToolException, match=why):
        fetch(f"{site.url}/")


def test_redirects_end(site: Website) -> None:
    site.pages["/"] = 302, {"Location": "/"}, b""
    with pytest.raises(ToolException, match="more than 5 times"):
        fetch(f"{site.url}/")
    assert len(site.requests) == 6


def test_cookies_of_one_request_are_not_sent_with_the_next(site: Website) -> None:
    site.pages["/"] = 302, {"Location": "/next", "Set-Cookie": "id=1"}, b""
    site.pages["/next"] = 200, HTML, b"here"
    fetch(f"{site.url}/")
    assert "Cookie" not in site.requests[1][1]


# Size, time and type


def test_a_large_page_is_cut(site: Website) -> None:
    site.pages["/"] = 200, {"Content-Type": "text/plain"}, b"x" * 5_000_000
    fetcher = Fetcher(allowed=only_loopback, max_bytes=100_000, max_output=10**9)
    assert len(fetch(f"{site.url}/", fetcher)) == 100_000


def test_a_compressed_page_is_bounded_too(site: Website) -> None:
    site.pages["/"] = 200, {"Content-Type": "text/plain", "Content-Encoding": "gzip"}, gzip.compress(b"x" * 50_000_000)
    fetcher = Fetcher(allowed=only_loopback, max_bytes=100_000, max_output=10**9)
    assert len(fetch(f"{site.url}/", fetcher)) == 100_000


@pytest.mark.parametrize("encoding", ["br", "gzip, gzip", "gzip", "zstd"])
def test_other_compressions_are_refused(site: Website, encoding: str) -> None:
    site.pages["/"] = 200, HTML | {"Content-Encoding": encoding}, b"not compressed"
    with pytest.raises(ToolException, match="compress"):
        fetch(f"{site.url}/")


def test_a_page_is_read_in_parts(site: Website) -> None:
    site.pages["/"] = 200, HTML, b"0123456789"
    fetcher = Fetcher(allowed=only_loopback, max_output=6)
    assert fetch(f"{site.url}/", fetcher) == "012345\n... (to go on, fetch it with start=6)"
    assert fetch(f"{site.url}/", fetcher, 6) == "6789"
    with pytest.raises(ToolException, match="10 characters of text"):
        fetch(f"{site.url}/", fetcher, 10)


def test_an_answer_that_never_ends_is_given_up(site: Website) -> None:
    began = time.monotonic()
    with pytest.raises(ToolException, match=r"within 0\.3 seconds"):
        fetch(f"{site.url}/slow", Fetcher(allowed=only_loopback, seconds=0.3))
    assert time.monotonic() - began < 25


@pytest.mark.parametrize("kind", ["image/png", "application/octet-stream", "application/pdf", "video/mp4"])
def test_other_types_are_refused(site: Website, kind: str) -> None:
    site.pages["/"] = 200, {"Content-Type": kind}, b"..."
    with pytest.raises(ToolException, match=f"is {kind}; only web pages"):
        fetch(f"{site.url}/")


@pytest.mark.parametrize(
    "kind", ["application/json", "application/ld+json", "text/plain", "TEXT/CSV; charset=nonsense"]
)
def test_text_and_json_stay_as_they_are(site: Website, kind: str) -> None:
    site.pages["/"] = 200, {"Content-Type": kind}, b'{"a": "<b>1</b>"}'
    assert fetch(f"{site.url}/") == '{"a": "<b>1</b>"}'


@pytest.mark.parametrize(
    ("status", "reason"), [(404, "Not Found"), (500, "Internal Server Error"), (304, "Not Modified")]
)
def test_a_failed_request_is_told(site: Website, status: int, reason: str) -> None:
    site.pages["/"] = status, HTML, b"gone"
    with pytest.raises(ToolException, match=f"answered {status} {reason}"):
        fetch(f"{site.url}/")


def test_a_server_that_is_not_there_is_told() -> None:
    with pytest.raises(ToolException, match="cannot be fetched"):
        fetch("http://127.0.0.1:9/")


def test_async_and_inside_a_running_loop(site: Website) -> None:
    site.pages["/"] = 200, HTML, b"here"

    async def both() -> tuple[str, str]:
        return await LOCAL.fetch(f"{site.url}/"), fetch_tool(LOCAL).invoke({"url": f"{site.url}/"})

    assert anyio.run(both) == ("here", "here")


def test_the_tool_is_async_too() -> None:
    async def call() -> str:
        return str(await fetch_page.ainvoke({"url": "http://127.0.0.1/"}))

    assert "not on the public internet" in anyio.run(call)


# Searching


def test_results_are_a_list() -> None:
    found = [{"title": "Tea", "href": "https://tea.example", "body": "All about tea"}]
    assert results_text(found) == "1. Tea\n   https://tea.example\n   All about tea"
    assert "Nothing" in results_text([])


@pytest.mark.skipif(can_search(), reason="ddgs is installed")
def test_without_its_library_the_search_says_what_to_install() -> None:
    assert ".[web]" in web_search.invoke({"query": "tea"})
