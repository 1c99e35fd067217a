"""The web for agents: a page as text, and a search.

known address? -> check it -> resolve it once -> check every IP -> connect to one of these -> (redirect) check it ...
"""

import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from typing import Annotated

import anyio
import anyio.to_thread
import httpx2
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import Field

from agents.checks import names_address, names_what_changes
from agents.runtime import install_hint, run_in_background
from agents.tools.addresses import WebTool, checked_url, is_public
from agents.tools.pages import Page, page_text
from agents.tools.readable_tool import readable_tool

MAX_TRIED = 3
"""IP addresses of one host that are tried, each for at most `CONNECT_SECONDS`."""
CONNECT_SECONDS = 5
MAX_RESULTS = 10
"""Results of one web search."""
SEARCH_SECONDS = 10


async def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host in the system's order."""
    answers = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in answers))


_certificates = cache(httpx2.create_ssl_context)


@dataclass(frozen=True)
class Fetcher:
    """Fetches the text of a web page, safely; the settings are here to be tested and tightened.

    Proxies and logins of the environment (HTTP_PROXY, .netrc) are never used: a proxy would connect to an address that
    nobody checked. Certificates are always verified against the host's name.
    """

    allowed: Callable[[str], bool] = is_public
    """Whether an IP address may be connected to; all addresses of a host must be allowed."""
    resolve: Callable[[str, int], Awaitable[list[str]]] = resolve
    tls: Callable[[], ssl.SSLContext] = _certificates
    """Makes the context that certificates are verified with; by default the system's, or SSL_CERT_FILE, read once."""
    seconds: float = 20
    """For everything together: name, redirects, download and conversion."""
    max_bytes: int = 2_000_000
    """Bytes that are read of a page, before and after decompression; the rest is left out."""
    max_redirects: int = 5
    max_output: int = 12_000
    """Characters of text in one reply."""

    async def fetch(self, url: str, start: int = 0, *, links: bool = False) -> str:
        """Return the title and text of a page from character `start` on; a `ToolException` says why it cannot be."""
        try:
            with anyio.fail_after(self.seconds):
                page = await self._follow(url.strip())
                text = await anyio.to_thread.run_sync(partial(page_text, page, links=links), abandon_on_cancel=True)
        except TimeoutError:
            raise ToolException(f"{url} did not answer in full within {self.seconds:g} seconds.") from None
        except httpx2.InvalidURL as error:
            raise ToolException(f"{url!r} is not a valid address: {error}.") from error
        except httpx2.HTTPError as error:
            raise ToolException(f"{url} cannot be fetched: {str(error) or type(error).__name__}.") from error
        return self._part(text, start)

    async def _follow(self, address: str) -> Page:
        url = checked_url(address)
        for _ in range(self.max_redirects + 1):
            reply = await self._request(url)
            if isinstance(reply, Page):
                return reply
            url = checked_url(str(reply))
        raise ToolException(f"{address} redirects more than {self.max_redirects} times.")

    async def _request(self, url: httpx2.URL) -> Page | httpx2.URL:
        """Return the page, or where it redirects to."""
        addresses = await self._addresses(url)
        # A client per request: no connection or cookie made for one host is used for another one on the same address.
        timeout = httpx2.Timeout(self.seconds, connect=CONNECT_SECONDS)
        async with httpx2.AsyncClient(verify=self.tls(), trust_env=False, timeout=timeout) as client:
            for address in addresses[:MAX_TRIED]:
                request = client.build_request(
                    "GET",
                    url.copy_with(host=address),
                    headers={"Host": url.netloc.decode("ascii"), "Accept-Encoding": "gzip", "User-Agent": "podium"},
                    extensions={"sni_hostname": url.raw_host.decode("ascii")},
                )
                try:
                    response = await client.send(request, stream=True)
                except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
                    failure = error
                    continue
                try:
                    return await self._read(response, url)
                finally:
                    await response.aclose()
        raise failure

    async def _addresses(self, url: httpx2.URL) -> list[str]:
        host = url.raw_host.decode("ascii")
        try:
            addresses = await self.resolve(host, url.port or (443 if url.scheme == "https" else 80))
        except (OSError, UnicodeError):
            addresses = []
        if not addresses:
            raise ToolException(f"Host {host!r} does not exist. Check the address, or use another page.")
        if not all(map(self.allowed, addresses)):
            raise ToolException(f"{host!r} is not on the public internet, so it is not fetched. Use a public page.")
        return addresses

    async def _read(self, response: httpx2.Response, url: httpx2.URL) -> Page | httpx2.URL:
        if response.has_redirect_location:
            return url.join(response.headers["Location"])
        if not response.is_success:
            reason = httpx2.codes.get_reason_phrase(response.status_code)
            raise ToolException(f"{url} answered {response.status_code} {reason}. Use another page.")
        kind = response.headers.get("Content-Type", "text/html").partition(";")[0].strip().lower()
        if not (
            kind.startswith("text/") or kind in ("application/json", "application/xhtml+xml") or kind.endswith("+json")
        ):
            raise ToolException(f"{url} is {kind}; only web pages, text and JSON can be read.")
        content = bytearray()
        async for chunk in response.aiter_raw():
            content += chunk
            if len(content) >= self.max_bytes:
                break
        encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
        plain = _decompressed(bytes(content[: self.max_bytes]), encoding, self.max_bytes)
        return Page(str(url), kind, response.charset_encoding, plain)

    def _part(self, text: str, start: int) -> str:
        start = max(0, start)
        part = text[start : start + self.max_output]
        if not part:
            raise ToolException(f"The page has {len(text)} characters of text; none from {start} on.")
        end = start + len(part)
        return part if end == len(text) else f"{part}\n... (to go on, fetch it with start={end})"


def _decompressed(content: bytes, encoding: str, limit: int) -> bytes:
    if encoding == "identity":
        return content
    if encoding not in ("gzip", "x-gzip"):
        raise ToolException(f"The page is compressed with {encoding!r}, which was not asked for.")
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, limit)
    except zlib.error as error:
        raise ToolException(f"The page's compression is broken: {error}.") from error


def fetch_tool(fetcher: Fetcher | None = None, *, any_address: bool = False) -> BaseTool:
    """Build the tool `fetch_page`, with a fetcher of your own or the usual one.

    With `any_address` it opens also addresses that the model makes up. A page can then have an agent that reads private
    files send them away in an address: never give both to one agent.
    """
    fetcher = fetcher or Fetcher()

    def fetch_page(
        url: Annotated[str, Field(description="The full address, such as https://example.com/page", max_length=2000)],
        start: Annotated[int, Field(description="The character to start from, to go on with a long page")] = 0,
        links: Annotated[bool, Field(description="Whether to show the addresses of links too")] = False,
    ) -> str:
        """Read a public web page, text or JSON file as plain text."""
        return run_in_background(partial(fetcher.fetch, url, start, links=links))

    return readable_tool(
        fetch_page,
        "What does https://example.com/pricing say about refunds?",
        kind=StructuredTool if any_address else WebTool,
        coroutine=fetcher.fetch,
        example_arguments={"url": "https://example.com/pricing"},
        wanted=names_address,
    )


def _web_search(
    query: Annotated[str, Field(description="A few words, as typed into a search engine", max_length=300)],
    limit: Annotated[int, Field(description=f"How many results, at most {MAX_RESULTS}")] = 5,
) -> str:
    """Search the web; gives title, address and a short extract of each result. Read a result with fetch_page."""
    if not can_search():
        raise ToolException(f"Searching needs the library ddgs: {install_hint('web')}.")
    ddgs = import_module("ddgs")
    try:
        results = ddgs.DDGS(timeout=SEARCH_SECONDS).text(query, max_results=max(1, min(limit, MAX_RESULTS)))
    except ddgs.exceptions.DDGSException as error:
        raise ToolException(f"The search failed: {error}. Try other words, or once more later.") from error
    return results_text(results)


def results_text(results: Sequence[Mapping[str, object]]) -> str:
    """Return search results as a numbered list."""
    lines = [
        f"{number}. {result.get('title')}\n   {result.get('href')}\n   {result.get('body')}"
        for number, result in enumerate(results, 1)
    ]
    return "\n".join(lines) or "Nothing was found. Try other words."


fetch_page = fetch_tool()
web_search = readable_tool(
    _web_search,
    "Which version of SQLite is the newest?",
    kind=WebTool,
    name="web_search",
    example_arguments={"query": "SQLite newest version"},
    wanted=names_what_changes,
)


def can_search() -> bool:
    """Whether the library behind `web_search` is installed, which is optional: `pip install -e ".[web]"`."""
    return find_spec("ddgs") is not None
