"""What a bell's channel may be, how it is shown without its secrets, and when it is tried again.

Pure: it knows neither Django nor the network.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

MAIL, SNS, APPRISE = "mail", "sns", "apprise"

#: A channel that has failed rests for this long, after each further failure twice as long, up to the longest.
FIRST_REST, LONGEST_REST = timedelta(seconds=10), timedelta(minutes=5)
#: When nobody has been reached on the first channels for so long, those of the next turn are rung.
NEXT_TURN_AFTER = timedelta(minutes=5)
#: One channel is told of one cause at most this often; what comes meanwhile shares the next message.
STORM_PAUSE = timedelta(minutes=1)
#: The longest address that is kept (an apprise URL with several tokens stays far below).
LONGEST_ADDRESS = 1000

_ARN = re.compile(r"arn:aws(?:-[a-z]+)*:sns:[a-z]{2}(?:-[a-z]+)+-\d:\d{12}:[A-Za-z0-9_.-]{1,256}")
_MAIL = re.compile(r"[^@\s,;:<>()\[\]\\\"]{1,64}@[A-Za-z0-9.-]{1,253}")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=:)", re.I)
#: Services of apprise that speak to the machine itself instead of to somebody.
_ON_THIS_MACHINE = frozenset(
    {"dbus", "glib", "gnome", "kde", "qt", "macosx", "windows", "syslog", "rsyslog", "blink1", "exec", "file"}
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"})
_METADATA_ADDRESSES = frozenset({"fd00:ec2::254", "100.100.100.200", "192.0.0.192", "168.63.129.16"})


class BadAddress(ValueError):
    """An address that no bell can be rung at; the text is a key of ``words.REFUSALS``."""


@dataclass(frozen=True)
class Named:
    """One channel as the environment names it: its kind, its address, and when its turn is."""

    kind: str
    address: str
    turn: int


def read_list(text: str) -> list[Named]:
    """Read TODOKU_BELL: addresses with commas between are tried in turn, with spaces between rung together.

    Raises ``BadAddress`` when one of them is none.
    """
    found = []
    turns = [part for part in re.split(r",(?=\s*[a-z][a-z0-9+.-]*:)", text, flags=re.I) if part.strip()]
    for turn, part in enumerate(turns, 1):
        found += [Named(*read(address), turn) for address in part.split()]
    return found


def read(text: str) -> tuple[str, str]:
    """Read one address (``mailto:…``, ``sns:arn:…``, ``slack://…``): its kind, and itself as it is kept."""
    text = text.strip()
    if not text.isprintable() or len(text) > LONGEST_ADDRESS:
        raise BadAddress("unreadable")
    if text.lower().startswith("mailto:") and not text.lower().startswith("mailto://"):
        return MAIL, check(MAIL, text[len("mailto:") :])
    if text.lower().startswith("sns:arn:"):
        return SNS, check(SNS, text[len("sns:") :])
    if text.startswith("arn:"):
        return SNS, check(SNS, text)
    if "://" in text:
        return APPRISE, check(APPRISE, text)
    raise BadAddress("unreadable")


def check(kind: str, address: str) -> str:
    """Return the address as it is kept; raise ``BadAddress`` when it is none of its kind."""
    address = address.strip()
    if not address or not address.isprintable() or len(address) > LONGEST_ADDRESS:
        raise BadAddress("unreadable")
    if kind == MAIL:
        several = [one for one in re.split(r"[,;\s]+", address) if one]
        if not several or not all(_MAIL.fullmatch(one) for one in several):
            raise BadAddress("mail")
        return ", ".join(several)
    if kind == SNS:
        if not _ARN.fullmatch(address):
            raise BadAddress("arn")
        return address
    scheme = _SCHEME.match(address)
    if scheme is None or "://" not in address:
        raise BadAddress("url")
    if scheme[0].lower() in _ON_THIS_MACHINE:
        raise BadAddress("machine")
    return address


def region_of(arn: str) -> str:
    """The AWS region that a topic's ARN names."""
    return arn.split(":")[3]


def mask(kind: str, address: str) -> str:
    """Show where a channel leads, without what would let somebody else use it."""
    if kind == MAIL:
        return address
    if kind == SNS:
        head, account, topic = address.rsplit(":", 2)
        return f"{head}:…{account[-4:]}:{topic}"
    return f"{address.split('://', 1)[0].lower()}://…"


def without_secrets(text: str, address: str, most: int = 200) -> str:
    """What somebody said of a failure, without any part of the address that could be a secret."""
    parts = sorted({part for part in re.split(r"[/:@?&=,;\s]+", address) if len(part) >= 5}, key=len, reverse=True)
    for part in parts:
        text = text.replace(part, "…")
    return re.sub(r"\s+", " ", text).strip()[:most]


def host_of(url: str) -> str:
    """The host that a URL names, in lower case; empty for a service that has its own."""
    try:
        return (urlsplit(url).hostname or "").lower().rstrip(".")
    except ValueError:
        raise BadAddress("url") from None


def is_forbidden(host: str, addresses: Sequence[str], *, loopback: bool) -> bool:
    """Say whether a host must not be spoken to: a cloud's metadata, or (without ``loopback``) this machine itself.

    ``addresses`` are those that the host's name leads to. A shop's own network is allowed: many a chat lives there.
    """
    if host in _METADATA_NAMES:
        return True
    for text in addresses:
        try:
            address = ipaddress.ip_address(text.split("%")[0])
        except ValueError:
            continue
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if str(address) in _METADATA_ADDRESSES or address.is_link_local or address.is_multicast:
            return True
        if (address.is_loopback or address.is_unspecified) and not loopback:
            return True
    return False


def rest(failures: int) -> timedelta:
    """How long a channel is left alone after it has failed so many times in a row."""
    return min(LONGEST_REST, FIRST_REST * (1 << min(failures - 1, 10)))
