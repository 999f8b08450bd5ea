"""HTML is put together from templates whose every value is escaped unless it is HTML already."""

from __future__ import annotations

import re
from html import escape

_PLACE = re.compile(r"\{\{(\w+)\}\}")


class Html(str):
    """A text that is HTML already and is not escaped again."""

    __slots__ = ()


def fill(template: str, **values: object) -> Html:
    """Puts values into `{{name}}` places of a template; what is not `Html` is escaped."""

    def put(place: re.Match[str]) -> str:
        value = values[place[1]]
        return value if isinstance(value, Html) else escape(str(value))

    return Html(_PLACE.sub(put, template))


def html(template: str, *values: object) -> Html:
    """Puts values into the `{}` places of a template; what is not `Html` is escaped."""
    return Html(template.format(*(v if isinstance(v, Html) else Html(escape(str(v))) for v in values)))


def join(parts: list[Html], between: str = "") -> Html:
    return Html(between.join(parts))
