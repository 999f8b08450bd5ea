"""Fields that read what people type: digits of either width, and sentences that say what to do."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

#: Everything that people use for a minus.
_MINUS = re.compile("[‐‑‒–—―−ーｰ]")


def row_number(said: str) -> int | None:
    """Read a row's number as an address or a button has it; None when it can be nobody's."""
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else None


class WholeField(forms.IntegerField):
    """A whole number, as people type it: １０, 1,000, 500円, +5, −3."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {"autocomplete": "off", "inputmode": "numeric" if (kwargs.get("min_value") or 0) >= 0 else "text"}
        kwargs.setdefault("widget", UnfoldAdminTextInputWidget(attrs=attrs))
        super().__init__(**kwargs)

    def to_python(self, value: Any) -> int | None:
        """Read the number; what is none is told in words."""
        typed = _MINUS.sub("-", unicodedata.normalize("NFKC", str(value if value is not None else ""))).strip()
        plain = re.sub(r"[\s,、円¥¥枚個]", "", typed)
        if not plain and not typed:
            return None
        if not re.fullmatch(r"[+-]?[0-9]{1,12}", plain):
            raise ValidationError(_("Please write a whole number, for example 10."), code="invalid")
        return int(plain)


class TextField(forms.CharField):
    """One line of text; more with ``lines``. What cannot be printed is refused in words."""

    def __init__(self, *, lines: int = 0, attrs: dict[str, str] | None = None, **kwargs: Any) -> None:
        self.lines = lines
        if lines:
            kwargs.setdefault("widget", UnfoldAdminTextareaWidget(attrs={"rows": lines, **(attrs or {})}))
        else:
            kwargs.setdefault("widget", UnfoldAdminTextInputWidget(attrs=attrs or {}))
        most = kwargs["max_length"]
        kwargs.setdefault(
            "error_messages",
            {
                "required": gettext_lazy("Please fill this in."),
                "max_length": gettext_lazy("This is too long: at most %(limit_value)d characters, not %(show_value)d."),
            },
        )
        super().__init__(**{**kwargs, "max_length": most})
        # The reader below refuses NUL and its kin in words of our own.
        self.validators = [v for v in self.validators if type(v).__name__ != "ProhibitNullCharactersValidator"]

    def to_python(self, value: Any) -> str:
        """Read the text: line ends as Unix has them, and no control characters."""
        typed = str(super().to_python(value) or "")
        typed = typed.replace("\r\n", "\n").replace("\r", "\n")
        allowed = "\n\t" if self.lines else ""
        if not self.lines and "\n" in typed:
            raise ValidationError(_("Please write this on one line."), code="line_break")
        if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in allowed for sign in typed):
            raise ValidationError(
                _("This contains a character that cannot be shown. Please type it again."), code="invisible"
            )
        return typed


class CheckField(forms.BooleanField):
    """Yes or no, in one line with its label."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"required": False, "widget": forms.CheckboxInput(attrs={"class": "tk-tick"}), **kwargs})
