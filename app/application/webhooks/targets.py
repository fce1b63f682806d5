"""Where messages may go: to the public internet, and to networks that whoever runs this names.

A name is resolved here, all its addresses are checked, and the connection goes to one of these
very addresses: no second look-up can lead elsewhere. TLS still proves the name.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpcore

from app.domain.errors import Refusal

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAT64_LOCAL = ipaddress.ip_network("64:ff9b:1::/48")
_IPV4_COMPATIBLE = ipaddress.ip_network("::/96")
_UNICAST = ipaddress.ip_network("2000::/3")
# What Python's own table, which is a release's, may not hold yet.
_SPECIAL = (ipaddress.ip_network("192.0.0.0/24"), ipaddress.ip_network("3fff::/20"))
_RESOLVERS = 32

REFUSED = "It leads to an address that messages may not be sent to from here."
"""Which one is not told: names of a network inside are nobody's business."""
PLAIN = "Without TLS, messages go to networks that OKR_WEBHOOK_NETWORKS names, and to no others."


class TargetRefused(Refusal):
    """Messages may not be sent there."""

    name = "target-refused"


def _carried(address: ipaddress.IPv6Address) -> list[ipaddress.IPv4Address]:
    """The IPv4 addresses that an IPv6 one leads to, or comes by."""
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in _NAT64 or address in _IPV4_COMPATIBLE:
        found.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return [one for one in found if one is not None]


class Targets:
    """What may be sent to."""

    def __init__(self, allowed: Iterable[Network] = (), resolve: Resolve | None = None) -> None:
        self._allowed = tuple(allowed)
        self._threads = ThreadPoolExecutor(_RESOLVERS, "webhook-names")
        self.resolve: Resolve = resolve or self._look_up

    def close(self) -> None:
        """Wait for no name any more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def is_named(self, text: str) -> bool:
        """Whether an address lies in a network that was named."""
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None) or address
        return any(mapped in network for network in self._allowed)

    def permits(self, text: str) -> bool:
        """Whether messages may go to an address: a named one, or one that all the world reaches."""
        if self.is_named(text):
            return True
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            return False
        if isinstance(address, ipaddress.IPv6Address):
            if address.scope_id is not None or address in _NAT64_LOCAL:
                return False
            is_other = address.ipv4_mapped is None and not any(
                address in network for network in (_NAT64, _IPV4_COMPATIBLE)
            )
            carried = all(_is_public(one) for one in _carried(address))
            # What is nothing but an IPv4 address in other letters is judged as that one.
            return carried and (not is_other or _is_public(address))
        return _is_public(address)

    def admit(self, url: str) -> None:
        """Raise TargetRefused for what can be told from a URL alone to lead nowhere permitted."""
        parts = urlsplit(url)
        host = (parts.hostname or "").rstrip(".")
        if parts.scheme == "http" and not self._allowed:
            raise TargetRefused(f"{PLAIN} Use https.", pointer="/url")
        literal = _literal(host)
        is_local = host == "localhost" or host.endswith(".localhost")
        if literal is None and is_local:
            literal = "127.0.0.1"
        if literal is None:
            return
        if parts.scheme == "http" and not self.is_named(literal):
            raise TargetRefused(f"{PLAIN} Use https.", pointer="/url")
        if not self.permits(literal):
            raise TargetRefused(
                "This address is not one of the public internet; whoever runs the server may "
                "allow its network with OKR_WEBHOOK_NETWORKS.",
                pointer="/url",
            )

    async def addresses(self, host: str, port: int, *, is_plain: bool) -> list[str]:
        """What a host resolves to now. Raises TargetRefused unless all of it is permitted."""
        try:
            found = list(dict.fromkeys(await self.resolve(host, port)))
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(f"The name {host} cannot be resolved.") from error
        if not found or not all(self.permits(one) for one in found):
            raise TargetRefused(REFUSED)
        if is_plain and not all(self.is_named(one) for one in found):
            raise TargetRefused(PLAIN)
        return found

    async def _look_up(self, host: str, port: int) -> Sequence[str]:
        def look_up() -> list[str]:
            infos = socket.getaddrinfo(host.encode("ascii"), port, type=socket.SOCK_STREAM)
            return [str(info[4][0]) for info in infos]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look_up)


def _is_public(address: Address) -> bool:
    if address.version == 6 and address not in _UNICAST:
        return False
    if any(address in network for network in _SPECIAL):
        return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def _literal(host: str) -> str | None:
    """The address that a host is by itself, in any of the ways that systems read one."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        # 127.1, 0x7f.1 and 2130706433 are addresses too.
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


class Guarded(httpcore.AsyncNetworkBackend):
    """Connects to permitted addresses only, each the one that was checked."""

    def __init__(self, targets: Targets, *, is_plain: bool) -> None:
        self._targets = targets
        self._is_plain = is_plain
        self._beneath = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore names it so)
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failed: Exception | None = None
        for address in await self._targets.addresses(host, port, is_plain=self._is_plain):
            try:
                return await self._beneath.connect_tcp(address, port, timeout=timeout)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        assert failed is not None, "a name resolves to one address at least"
        raise failed

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 (httpcore names it so)
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise TargetRefused(REFUSED)

    async def sleep(self, seconds: float) -> None:
        await self._beneath.sleep(seconds)
