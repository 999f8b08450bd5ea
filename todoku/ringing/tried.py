"""Try a channel out: a message that says of itself that it is a test."""

from __future__ import annotations

from todoku.ringing import message, send
from todoku.ringing.models import Channel
from todoku.ringing.ring import note_failure, note_success


def try_out(channel: Channel) -> str:
    """Send a test; return an empty string when it was taken, or the reason why not. Talks to the outside."""
    trouble = send.send(channel, message.test(channel.name, channel.language))
    if trouble:
        note_failure(channel, trouble)
    else:
        note_success(channel)
    return trouble
