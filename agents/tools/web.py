"""The web for agents: a page as text, and a search; public addresses only.

check the address -> resolve it once -> check every IP -> connect to one of these -> (redirect) check the address ...

An agent fetches what a page or a stranger tells it to, so the address is never trusted: see `is_public`.
"""

from __future__ import annotations

import re
import socket
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Annotated, Any

import anyio
import anyio.from_thread
import anyio.to_thread
import httpx2
from langchain_core.tools import ToolException

from agents.tools.pages import Page, page_text
from agents.tools.readable_tool import readable_tool

MAX_ADDRESS = 2_000
"""Characters of a URL."""
MAX_TRIED = 3
"""IP addresses of one host that are tried, each for at most `CONNECT_SECONDS`."""
CONNECT_SECONDS = 5
MAX_RESULTS = 10
"""Results of one web search."""
SEARCH_SECONDS = 10

_NOT_PUBLIC = [
    ip_network(network)
    for network in [
        "168.63.129.16/32",  # the metadata service of Azure, which is a public address
        "192.0.0.0/24",  # protocol assignments, among them a metadata service; is_global differs between Pythons
        "192.88.99.0/24",  # relays from IPv6 to IPv4
        "2001::/23",  # protocol assignments, among them Teredo, which wraps an IPv4 address
        "2002::/16",  # 6to4, which wraps an IPv4 address
        "3fff::/20",  # documentation
    ]
]
_UNICAST = ip_network("2000::/3")
_HOST = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+", re.IGNORECASE)
_NUMBER = re.compile(r"0x[0-9a-f]*|\d+", re.IGNORECASE)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet.

    Of IPv6 only global unicast does, so whatever leads to an IPv4 address (mapped, NAT64, 6to4, Teredo) does not.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


async def resolve(host: str, port: int) -> list[str]:
    """Return the IP addresses of a host in the system's order."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


@dataclass(frozen=True)
class Fetcher:
    """Gets the text of a web page, safely; the settings are here to be tested and tightened.

    Proxies and logins of the environment (HTTP_PROXY, .netrc) are never used: a proxy would connect to an address that
    nobody checked. Certificates are always verified against the host's name.
    """

    allowed: Callable[[str], bool] = is_public
    """Whether an IP address may be connected to; all addresses of a host must be allowed."""
    resolve: Callable[[str, int], Awaitable[list[str]]] = resolve
    tls: Callable[[], ssl.SSLContext] = httpx2.create_ssl_context
    """Makes the context that certificates are verified with; by default the system's, or SSL_CERT_FILE."""
    seconds: float = 20
    """For everything together: name, redirects, download and conversion."""
    max_bytes: int = 2_000_000
    """What is read of a page, before and after decompression; the rest is left out."""
    max_redirects: int = 5
    max_output: int = 12_000
    """Characters of text in one reply."""

    async def fetch(self, url: str, start: int = 0, *, links: bool = False) -> str:
        """Return the title and text of a page from character `start` on.

        Raises:
            ToolException: The page cannot or must not be fetched; says why.
        """
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

    def fetch_blocking(self, url: str, start: int = 0, *, links: bool = False) -> str:
        """Do the same from sync code; also inside a running event loop, which then waits."""
        with anyio.from_thread.start_blocking_portal() as portal:
            return portal.call(partial(self.fetch, url, start, links=links))

    async def _follow(self, address: str) -> Page:
        url = _checked(address)
        for _ in range(self.max_redirects + 1):
            reply = await self._request(url)
            if isinstance(reply, Page):
                return reply
            url = _checked(str(reply))
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
            raise ToolException(f"There is no host {host!r}. Check the address, or use another page.")
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
            raise ToolException(f"The page has {len(text)} characters of text; there is none from {start} on.")
        end = start + len(part)
        return part if end == len(text) else f"{part}\n... (to go on, fetch it with start={end})"


def _checked(address: str) -> httpx2.URL:
    """Return a URL that may be resolved: http or https, no login, no IP address in disguise."""
    if len(address) > MAX_ADDRESS:
        raise ToolException(f"The address is longer than {MAX_ADDRESS} characters.")
    url = httpx2.URL(address)
    host = url.raw_host.decode("ascii")
    if url.scheme not in ("http", "https") or not host:
        raise ToolException(f"{address!r} is not a web address. Write it in full, such as https://example.com/page.")
    if url.userinfo:
        raise ToolException("Addresses with a user name or password are not fetched.")
    if url.port is not None and not 0 < url.port < 65536:
        raise ToolException(f"{url.port} is not a valid port.")
    if not _HOST.fullmatch(host) or _is_disguised(host):
        raise ToolException(f"{host!r} is not a valid host.")
    return url


def _is_disguised(host: str) -> bool:
    """Whether a host is a number to some resolvers: 2130706433, 0177.1 and 0x7f.1 are 127.0.0.1 to them."""
    last = host.rstrip(".").rpartition(".")[2]
    return ":" not in host and bool(_NUMBER.fullmatch(last)) and not _is_ipv4(host)


def _is_ipv4(host: str) -> bool:
    try:
        return bool(IPv4Address(host))
    except ValueError:
        return False


def _decompressed(content: bytes, encoding: str, limit: int) -> bytes:
    if encoding == "identity":
        return content
    if encoding not in ("gzip", "x-gzip"):
        raise ToolException(f"The page is compressed with {encoding!r}, which was not asked for.")
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(content, limit)
    except zlib.error as error:
        raise ToolException(f"The page's compression is broken: {error}.") from error


# The tools


_fetcher = Fetcher()


def _fetch_page(
    url: Annotated[str, "The full address, such as https://example.com/page"],
    start: Annotated[int, "The character to start from, to go on with a long page"] = 0,
    links: Annotated[bool, "Whether to show the addresses of links too"] = False,
) -> str:
    """Read a public web page, text or JSON file as plain text."""
    return _fetcher.fetch_blocking(url, start, links=links)


def _web_search(
    query: Annotated[str, "A few words, as typed into a search engine"],
    limit: Annotated[int, f"How many results, at most {MAX_RESULTS}"] = 5,
) -> str:
    """Search the web; gives title, address and a short extract of each result. Read a result with fetch_page."""
    if not can_search():
        raise ToolException('Searching needs the library ddgs: pip install -e ".[web]".')
    ddgs = import_module("ddgs")
    try:
        found = ddgs.DDGS(timeout=SEARCH_SECONDS).text(query, max_results=max(1, min(limit, MAX_RESULTS)))
    except ddgs.exceptions.DDGSException as error:
        raise ToolException(f"The search failed: {error}. Try other words, or once more later.") from error
    return results_text(found)


def results_text(results: Sequence[dict[str, Any]]) -> str:
    """Return search results as a numbered list."""
    lines = [f"{n}. {one.get('title')}\n   {one.get('href')}\n   {one.get('body')}" for n, one in enumerate(results, 1)]
    return "\n".join(lines) or "Nothing was found. Try other words."


fetch_page = readable_tool(
    _fetch_page,
    name="fetch_page",
    coroutine=_fetcher.fetch,
    metadata={
        "example_task": "What does https://example.com/pricing say about refunds?",
        "example_arguments": {"url": "https://example.com/pricing"},
    },
)
web_search = readable_tool(
    _web_search,
    name="web_search",
    metadata={
        "example_task": "Which version of SQLite is the newest?",
        "example_arguments": {"query": "SQLite newest version"},
    },
)


def can_search() -> bool:
    """Whether the library behind `web_search` is installed, which is optional: `pip install -e ".[web]"`."""
    return find_spec("ddgs") is not None
