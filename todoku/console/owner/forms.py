"""What the owner fills in: a form for each topic, with what each field is for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from django import forms
from django.core.validators import EmailValidator, RegexValidator
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from todoku.console.typed import CheckField, TextField, WholeField
from todoku.money import GREATEST_CHARGE
from todoku.shop import rules
from todoku.shop.chosen import Chosen
from todoku.shop.models import Topic

#: More on hand than this is nobody's warning.
MOST_LOW_STOCK = 1_000_000


class TopicForm(forms.Form):
    """One topic's fields; ``seen`` is the number of the choice that the page showed."""

    topic: ClassVar[Topic]
    #: What the page says above the fields.
    says: ClassVar[Any] = ""
    #: The template that shows what a shopper will see; none where there is nothing to see.
    preview: ClassVar[str] = ""

    seen = forms.IntegerField(widget=forms.HiddenInput, min_value=0)

    @classmethod
    def standing(cls, chosen: Chosen) -> dict[str, Any]:
        """Each field as it holds."""
        raise NotImplementedError

    def chosen(self) -> dict[str, Any]:
        """What was filled in, by field; ask only when the form is valid."""
        return {name: self.cleaned_data[name] for name in self.standing(Chosen({}, 0))}


def _both(chosen: Chosen, *names: str) -> dict[str, Any]:
    return {f"{name}_{language}": chosen.seller(language).get(name, "") for name in names for language in ("ja", "en")}


class NameForm(TopicForm):
    """What the shop is called, and how it is reached."""

    topic = Topic.NAME
    says = gettext_lazy("The name stands on every page and in every mail, the contact at the foot of every page.")

    name_ja = TextField(label=gettext_lazy("Shop name (Japanese)"), max_length=60)
    name_en = TextField(label=gettext_lazy("Shop name (English)"), max_length=60)
    tagline_ja = TextField(label=gettext_lazy("One line about the shop (Japanese)"), max_length=120)
    tagline_en = TextField(label=gettext_lazy("One line about the shop (English)"), max_length=160)
    from_name = TextField(
        label=gettext_lazy("Sender's name in mails"),
        max_length=60,
        help_text=gettext_lazy("The name only. The address that mails are sent from is set by your developer."),
    )
    mail = TextField(
        label=gettext_lazy("Contact mail address"),
        max_length=254,
        validators=[EmailValidator(gettext_lazy("Please check the mail address, for example hanako@example.jp."))],
    )
    phone = TextField(
        label=gettext_lazy("Contact phone number"),
        max_length=20,
        help_text=gettext_lazy("To take payments at convenience stores, Stripe asks for a landline number."),
        validators=[
            RegexValidator(r"\A\+?[0-9][0-9\-]{8,18}\Z", gettext_lazy("Digits and hyphens, for example 011-123-4567."))
        ],
    )
    hours_ja = TextField(label=gettext_lazy("When you can be reached (Japanese)"), max_length=200)
    hours_en = TextField(label=gettext_lazy("When you can be reached (English)"), max_length=200)

    @classmethod
    def standing(cls, chosen: Chosen) -> dict[str, Any]:
        """The names and the contact as they hold."""
        return {
            "name_ja": chosen.name("ja"),
            "name_en": chosen.name("en"),
            **_both(chosen, "tagline", "hours"),
            "from_name": chosen.from_name,
            "mail": chosen.seller("ja")["mail"],
            "phone": chosen.seller("ja")["phone"],
        }


def _told(label: Any, help_text: Any = "", *, lines: int = 3, most: int = 1000) -> tuple[TextField, TextField]:
    """A fact that is told in both languages."""
    return (
        TextField(
            label=format_lazy("{}{}", label, gettext_lazy(" (Japanese)")),
            max_length=most,
            lines=lines,
            help_text=help_text,
        ),
        TextField(label=format_lazy("{}{}", label, gettext_lazy(" (English)")), max_length=most, lines=lines),
    )


class LegalForm(TopicForm):
    """What the Act on Specified Commercial Transactions wants shown."""

    topic = Topic.LEGAL
    preview = "console/owner/legal.html"
    says = gettext_lazy(
        "The Act on Specified Commercial Transactions wants all of this on a page of its own. Delivery, cancelling and "
        "returns, payment and the time limit are shown on the confirm page too: when you change them, whoever is about "
        "to order is asked to read them again."
    )

    company_ja, company_en = _told(
        gettext_lazy("Seller"), gettext_lazy("The company's registered name, or your own name."), lines=0, most=200
    )
    responsible_ja, responsible_en = _told(gettext_lazy("Responsible"), lines=0, most=200)
    address_ja, address_en = _told(
        gettext_lazy("Address"),
        gettext_lazy("With postal code, street and number; no post office box."),
        lines=2,
        most=300,
    )
    extra_fees_ja, extra_fees_en = _told(
        gettext_lazy("Other fees"), gettext_lazy("What a customer pays besides the price: shipping, for example.")
    )
    payment_ja, payment_en = _told(
        gettext_lazy("Payment by card"),
        gettext_lazy("When the card is charged. What holds for convenience stores is added by the shop itself."),
    )
    delivery_ja, delivery_en = _told(gettext_lazy("Delivery"), gettext_lazy("How long it takes until you ship."))
    returns_ja, returns_en = _told(
        gettext_lazy("Cancelling and returns"),
        gettext_lazy("Whether, until when and how; who pays the postage. Also what holds for faulty goods."),
        lines=5, most=2000,
    )  # fmt: skip
    period_ja, period_en = _told(
        gettext_lazy("Time limit"),
        gettext_lazy("If an offer can be ordered for some time only; otherwise say so."),
        lines=2,
    )

    @classmethod
    def standing(cls, chosen: Chosen) -> dict[str, Any]:
        """The legal notice as it holds."""
        return _both(
            chosen, "company", "responsible", "address", "extra_fees", "payment", "delivery", "returns", "period"
        )


class PrivacyForm(TopicForm):
    """What is said of personal data besides what the shop says itself."""

    topic = Topic.PRIVACY
    preview = "console/owner/privacy.html"
    says = gettext_lazy("The privacy page says by itself what this shop keeps and who gets it. Add what is yours.")

    privacy_contact_ja = TextField(
        label=gettext_lazy("Who answers questions about personal data (Japanese)"), max_length=200, required=False
    )
    privacy_contact_en = TextField(
        label=gettext_lazy("Who answers questions about personal data (English)"), max_length=200, required=False
    )
    privacy_more_ja = TextField(
        label=gettext_lazy("Anything else (Japanese)"), max_length=4000, lines=6, required=False,
        help_text=gettext_lazy("An empty line begins a new paragraph."),
    )  # fmt: skip
    privacy_more_en = TextField(label=gettext_lazy("Anything else (English)"), max_length=4000, lines=6, required=False)

    @classmethod
    def standing(cls, chosen: Chosen) -> dict[str, Any]:
        """The owner's part of the privacy page as it holds."""
        return _both(chosen, "privacy_contact", "privacy_more")


class InvoiceForm(TopicForm):
    """The invoice registration number."""

    topic = Topic.INVOICE
    says = gettext_lazy(
        "The number that the tax office gave you for qualified invoices. It is shown on the legal notice and printed "
        "in mails and on slips. Leave it empty if you are not registered."
    )

    number = TextField(
        label=gettext_lazy("Invoice registration number"),
        max_length=40,
        required=False,
        help_text=gettext_lazy("T and 13 digits, for example T7123456789012. Hyphens and full-width digits are fine."),
    )
    unchecked = CheckField(
        label=gettext_lazy("I have compared it digit by digit with the tax office's notice"),
        help_text=gettext_lazy("Only for a number that is refused for its check digit and is right all the same."),
    )

    def clean(self) -> dict[str, Any]:
        """Check the form and the check digit."""
        cleaned = super().clean() or self.cleaned_data
        if cleaned.get("number"):
            try:
                cleaned["number"] = rules.invoice_number(cleaned["number"], unchecked=bool(cleaned.get("unchecked")))
            except rules.WrongNumber as wrong:
                self.add_error(
                    "number",
                    _("A registration number is the letter T and 13 digits.")
                    if wrong.code == "form"
                    else _("The check digit (the first one) does not fit the others. Please compare each digit."),
                )
        return cleaned

    @classmethod
    def standing(cls, chosen: Chosen) -> dict[str, Any]:
        """The number as it holds."""
        return {"number": chosen.invoice_number}


class PaymentForm(TopicForm):
    """How shoppers may pay, and how long they have."""

    topic = Topic.PAYMENT
    says = gettext_lazy("What is changed here holds for new orders. An order that is placed keeps its deadline.")

    card = CheckField(label=gettext_lazy("Credit card"))
    konbini = CheckField(
        label=gettext_lazy("Convenience stores"),
        help_text=gettext_lazy(
            "Orders of 120 to 300,000 yen. FamilyMart, Lawson, Ministop and Seicomart. Stripe must have allowed it for "
            "your account."
        ),
    )
    konbini_days = WholeField(
        label=gettext_lazy("Days to pay at a convenience store"),
        min_value=rules.KONBINI_DAYS_LEAST,
        max_value=rules.KONBINI_DAYS_MOST,
        help_text=gettext_lazy("Until 23:59 of the last day, 1 to 60 days. The goods are held so long."),
    )
    pay_within_minutes = WholeField(
        label=gettext_lazy("Minutes to finish a card payment"),
        min_value=rules.PAY_WITHIN_LEAST,
        max_value=rules.PAY_WITHIN_MOST,
        help_text=gettext_lazy("From the press of the order button, 5 to 1,440. Then the payment is canceled."),
    )

    def clean(self) -> dict[str, Any]:
        """Leave at least one way to pay."""
        cleaned = super().clean() or self.cleaned_data
        if not (cleaned.get("card") or cleaned.get("konbini")):
            self.add_error("card", _("Leave at least one way to pay, or nobody can order."))
        return cleaned

    @classmethod
    def standing(cls, chosen: Chosen) -> dict[str, Any]:
        """The ways to pay as they hold."""
        return {name: getattr(chosen, name) for name in ("card", "konbini", "konbini_days", "pay_within_minutes")}


class LimitsForm(TopicForm):
    """From where on a second person is asked, and when stock is low."""

    topic = Topic.LIMITS
    says = gettext_lazy("When a second person must agree to a refund, and from when on a product is running out.")

    refund_alone_up_to = WholeField(
        label=gettext_lazy("One person may refund up to (yen)"),
        min_value=0,
        max_value=int(GREATEST_CHARGE),
        help_text=gettext_lazy("A larger refund needs a second person. 0: every refund does."),
    )
    low_stock = WholeField(
        label=gettext_lazy("A product is running out from"),
        min_value=0,
        max_value=MOST_LOW_STOCK,
        help_text=gettext_lazy("So many on hand or fewer. A product can have a number of its own on its stock page."),
    )
    low_stock_bell = CheckField(
        label=gettext_lazy("Ring the bell when a product is running out"),
        help_text=gettext_lazy("Once for each product and fall, within five minutes."),
    )

    @classmethod
    def standing(cls, chosen: Chosen) -> dict[str, Any]:
        """The limits as they hold."""
        return {name: getattr(chosen, name) for name in ("refund_alone_up_to", "low_stock", "low_stock_bell")}


FORMS: Mapping[str, type[TopicForm]] = {
    form.topic.value: form for form in (NameForm, LegalForm, PrivacyForm, InvoiceForm, PaymentForm, LimitsForm)
}
