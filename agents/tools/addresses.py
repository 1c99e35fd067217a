"""Addresses that an agent may open: on the public internet, and known to its run.

Text of pages and files is a stranger's: it may ask a model to fetch an address of the stranger's choice, with what the
model has read as a part of it. So addresses must come from the user's words, a search result or a page that was read.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpx2
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import StructuredTool, ToolException

from agents.runtime import reads_foreign_text, run_scope

MAX_ADDRESS = 2_000
"""Characters of a URL."""
MAX_KNOWN = 10_000
"""Addresses that are remembered from the results of a run."""

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
_WORD = re.compile(r"[^\s<>\"'`]+")
_START = re.compile(r"https?://", re.IGNORECASE)
_BARE = re.compile(r"(?:[a-z0-9-]{1,63}\.){1,9}[a-z]{2,24}(?:[:/?#].*)?", re.IGNORECASE)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the public internet.

    Of IPv6 only global unicast does, so whatever leads to an IPv4 address (mapped, NAT64, 6to4, Teredo) does not.
    """
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip not in _UNICAST:
        return False
    return ip.is_global and not ip.is_multicast and not any(ip in network for network in _NOT_PUBLIC)


def checked_url(address: str) -> httpx2.URL:
    """Return a URL that may be resolved: http or https, no login, no IP address in disguise.

    Raises:
        ToolException: It is not such a URL; the message says why.
        httpx2.InvalidURL: It is not a URL at all.
    """
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
    if ":" in host or not _NUMBER.fullmatch(host.rstrip(".").rpartition(".")[2]):
        return False
    try:
        IPv4Address(host)
    except ValueError:
        return True
    return False


class WebTool(StructuredTool):
    """A tool of the web: opens only the `url` that its run knows, and remembers the addresses in its results.

    Outside a run of Podium, for instance in a graph of one's own, nothing is known and nothing is refused.
    """

    def _run(self, *args: object, config: RunnableConfig, **kwargs: Any) -> object:
        _admit(config, kwargs.get("url"))
        return _remember(config, super()._run(*args, config=config, **kwargs))

    async def _arun(self, *args: object, config: RunnableConfig, **kwargs: Any) -> object:
        _admit(config, kwargs.get("url"))
        return _remember(config, await super()._arun(*args, config=config, **kwargs))


def _admit(config: RunnableConfig, url: str | None) -> None:
    scope = run_scope(config)
    if scope is None or url is None:
        return
    wanted = _normal(url)
    if wanted not in scope.resource(WebTool, dict) and wanted not in addresses_in(scope.words):
        raise ToolException(
            f"{url[:200]!r} is not opened: it was not named in the request, by a search result or on a page that was"
            " read before. Use an address from there exactly as it is written, or say that the user must name it."
        )


def _remember(config: RunnableConfig, result: object) -> object:
    if (scope := run_scope(config)) is not None:
        remembered: dict[str, None] = scope.resource(WebTool, dict)
        remembered.update(dict.fromkeys(list(addresses_in(str(result)))[: MAX_KNOWN - len(remembered)]))
    return result


@reads_foreign_text()
def addresses_in(text: str) -> set[str]:
    """Return the addresses that a text names, in a form that can be compared: without scheme, `www.` and fragment."""
    return {address for word in _WORD.findall(text) for name in _names(word) if (address := _normal(name))}


def _names(word: str) -> Iterator[str]:
    """Yield what may be the address in a word: all of it, and less of the punctuation after it."""
    if start := _START.search(word):
        address = word[start.start() :][:MAX_ADDRESS]
        yield address
        yield re.split(r"[)\]|]", address, maxsplit=1)[0]
        address = address.rstrip(".,;:!?*_]}")
        while address != (shorter := address.removesuffix(")")):
            yield address
            address = shorter
        yield address
    elif _BARE.fullmatch(name := word[:MAX_ADDRESS].strip(".,;:!?*_()[]{}|")):
        yield name


def _normal(address: str) -> str | None:
    try:
        url = httpx2.URL(address.strip() if "://" in address else f"https://{address.strip()}")
        host = url.netloc.decode("ascii").lower().removeprefix("www.")
        return host + url.raw_path.decode("ascii").removesuffix("?").removesuffix("/")
    except (httpx2.InvalidURL, UnicodeError):
        return None
