"""The details page's form: who gets the parcel, where, and when they would like it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.dates import WEEKDAYS_ABBR
from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _

from todoku.quote.models import DETAIL_FIELDS, Draft
from todoku.quote.rules import PREFECTURES
from todoku.storefront import places, typed
from todoku.storefront.widgets import PlainInput, PlainSelect

#: The first and the last day, from today, that a shopper may wish for.
FIRST_DAY, LAST_DAY = 4, 17

#: What could not be read, and what to do about it.
UNREADABLE: dict[str, Promise] = {
    "line_break": gettext_lazy("Please write this on one line."),
    "invisible": gettext_lazy("This contains a character that cannot be shown. Please type it again."),
    "picture": gettext_lazy("Our delivery slips cannot print pictures (%(what)s). Please leave them out."),
    "postal_code": gettext_lazy("Please give the postal code as 7 digits, for example 060-0001."),
    "phone": gettext_lazy("Please give a phone number in Japan of 10 or 11 digits, for example 090-1234-5678."),
    "kana": gettext_lazy("Please write the reading in katakana (letters are fine if the name has none)."),
}


class TypedField(forms.CharField):
    """A text field that is read by one of ``typed``'s functions; what was typed stays in the form."""

    widget = PlainInput

    def __init__(self, *, read: Callable[[str], str] = typed.one_line, missing: Promise | str, **kwargs: Any) -> None:
        words: dict[str, Any] = {
            "required": missing,
            "max_length": gettext_lazy("This is too long. Please shorten it to %(limit_value)d characters."),
            "invalid": gettext_lazy("Please check the mail address, for example hanako@example.jp."),
        }
        super().__init__(strip=False, error_messages=words, **kwargs)
        self.read = read
        # The readers refuse NUL and its kin with words of our own.
        self.validators = [v for v in self.validators if type(v).__name__ != "ProhibitNullCharactersValidator"]

    def to_python(self, value: Any) -> str:
        """Read what was typed."""
        text = str(value or "")
        try:
            return self.read(text) if text.strip(" \t　") else ""
        except typed.Unreadable as error:
            raise ValidationError(str(UNREADABLE[error.code]) % {"what": error.what or "…"}, code=error.code) from error


class MailField(TypedField):
    """A mail address."""

    default_validators = forms.EmailField.default_validators


def prefecture_choices() -> list[tuple[str, str]]:
    """List the prefectures in the reader's language, north to south; the value is the Japanese name."""
    japanese = (get_language() or "ja").startswith("ja")
    return [
        ("", _("Please choose")),
        *((p.name_ja, p.name_ja if japanese else p.name_en) for p in PREFECTURES),
    ]


def day_choices() -> list[tuple[str, str]]:
    """List the days a shopper may wish for, with their weekdays."""
    return _day_choices(timezone.localdate(), get_language() or "ja")


@lru_cache(maxsize=8)
def _day_choices(today: date, language: str) -> list[tuple[str, str]]:
    # Spoken once a day in each language.
    return [("", _("As soon as possible")), *((day.isoformat(), spoken_day(day)) for day in days())]


def days() -> list[date]:
    """The days (JST) that can be wished for today."""
    today = timezone.localdate()
    return [today + timedelta(days=n) for n in range(FIRST_DAY, LAST_DAY + 1)]


def spoken_day(day: date) -> str:
    """Write a day as a shopper reads it, with its weekday."""
    if (get_language() or "ja").startswith("ja"):
        return f"{day.month}月{day.day}日（{WEEKDAYS_ABBR[day.weekday()]}）"
    return date_format(day, "D, j N")


class DetailsForm(forms.Form):
    """What a parcel needs: checked, tidied, and given back as typed when something is wrong."""

    name = TypedField(
        label=gettext_lazy("Name"),
        max_length=100,
        missing=gettext_lazy("Please give the name of the person who receives the parcel."),
    )
    kana = TypedField(
        label=gettext_lazy("Name in katakana"),
        help_text=gettext_lazy("As it is read, in katakana"),
        max_length=100,
        read=typed.kana,
        missing=gettext_lazy("Please give the reading of the name in katakana."),
    )
    email = MailField(
        label=gettext_lazy("Mail address"),
        help_text=gettext_lazy("We send the order confirmation here."),
        max_length=254,
        read=typed.mail,
        missing=gettext_lazy("Please give a mail address; the order confirmation goes there."),
    )
    phone = TypedField(
        label=gettext_lazy("Phone number"),
        help_text=gettext_lazy("The carrier may call this number."),
        max_length=30,
        read=typed.phone,
        missing=gettext_lazy("Please give a phone number; the carrier calls it if there is a question."),
    )
    postal_code = TypedField(
        label=gettext_lazy("Postal code"),
        help_text=gettext_lazy("7 digits, with or without the hyphen"),
        max_length=20,
        read=typed.postal_code,
        missing=gettext_lazy("Please give the postal code."),
    )
    prefecture = forms.ChoiceField(
        label=gettext_lazy("Prefecture"),
        choices=prefecture_choices,
        widget=PlainSelect,
        error_messages={
            "required": gettext_lazy("Please choose the prefecture."),
            "invalid_choice": gettext_lazy("Please choose the prefecture from the list."),
        },
    )
    city = TypedField(
        label=gettext_lazy("City, ward, town"),
        max_length=100,
        missing=gettext_lazy("Please give the city, ward or town."),
    )
    street = TypedField(
        label=gettext_lazy("Street and number"),
        max_length=200,
        missing=gettext_lazy("Please give the street and number."),
    )
    building = TypedField(
        label=gettext_lazy("Building and room"),
        max_length=200,
        required=False,
        missing="",
    )
    wished_on = forms.TypedChoiceField(
        label=gettext_lazy("Delivery date"),
        help_text=gettext_lazy("We cannot promise the day, but we send it so that it should arrive then."),
        choices=day_choices,
        widget=PlainSelect,
        required=False,
        coerce=date.fromisoformat,
        empty_value=None,
        error_messages={"invalid_choice": gettext_lazy("That day can no longer be chosen. Please choose another one.")},
    )

    #: How a browser is told what a field is, so that it can fill it in, and which keyboard to show.
    HINTS: dict[str, dict[str, str]] = {
        "name": {"autocomplete": "name", "placeholder": "北野 花子"},
        "kana": {"placeholder": "キタノ ハナコ"},
        "email": {"autocomplete": "email", "inputmode": "email", "type": "email", "placeholder": "hanako@example.jp"},
        "phone": {"autocomplete": "tel", "inputmode": "tel", "type": "tel", "placeholder": "090-1234-5678"},
        "postal_code": {"autocomplete": "postal-code", "inputmode": "numeric", "placeholder": "060-0001"},
        "prefecture": {"autocomplete": "address-level1"},
        "city": {"autocomplete": "address-level2", "placeholder": "札幌市中央区"},
        "street": {"autocomplete": "address-line1", "placeholder": "北一条西 1-2-3"},
        "building": {"autocomplete": "address-line2", "placeholder": "雪波マンション 101"},
        "wished_on": {},
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        for name, hints in self.HINTS.items():
            field = self.fields[name]
            attrs = dict(hints)
            kind = attrs.pop("type", "")
            if kind and isinstance(field.widget, forms.TextInput):
                field.widget.input_type = kind
            described = [f"{name}-help"] if field.help_text else []
            if self.is_bound and name in self.errors:
                attrs["aria-invalid"] = "true"
                described.append(f"{name}-error")
            if described:
                attrs["aria-describedby"] = " ".join(described)
            field.widget.attrs.update({**attrs, "id": name, "data-test": name})

    def clean(self) -> dict[str, Any]:
        """Refuse a postal code and a prefecture that contradict each other: the shipping would be wrong."""
        cleaned = super().clean() or self.cleaned_data
        code, prefecture = cleaned.get("postal_code"), cleaned.get("prefecture")
        if code and prefecture:
            place = places.find(code)
            if place is not None and prefecture not in place.prefectures:
                shown = dict(prefecture_choices())
                self.add_error(
                    "postal_code",
                    _("The postal code %(code)s is in %(place)s. Please check the postal code and the prefecture.")
                    % {
                        "code": f"{code[:3]}-{code[3:]}",
                        "place": _(" or ").join(shown.get(p, p) for p in place.prefectures),
                    },
                )
        return cleaned


def of_draft(draft: Draft | None) -> dict[str, object]:
    """Fill the form from what was kept before."""
    if draft is None:
        return {}
    kept: dict[str, object] = {name: getattr(draft, name) for name in DETAIL_FIELDS}
    kept["postal_code"] = f"{draft.postal_code[:3]}-{draft.postal_code[3:]}"
    if draft.wished_on not in days():
        kept["wished_on"] = None
    elif draft.wished_on is not None:
        kept["wished_on"] = draft.wished_on.isoformat()
    return kept
