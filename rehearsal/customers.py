"""Customers: who pays, so that payments and saved cards can be found by person.

Source: https://docs.stripe.com/api/customers. What belongs to Stripe Billing (balance, invoices, tax) is left out.
"""

from __future__ import annotations

from rehearsal import lists
from rehearsal.call import Call
from rehearsal.errors import missing
from rehearsal.params import (
    ADDRESS,
    CREATED,
    EXPAND,
    PAGING,
    SHIPPING,
    Shape,
    array,
    choice,
    emptyable,
    hash_of,
    merged_metadata,
    metadata,
    missing_here,
    text,
)
from rehearsal.store import Json

_BILLING = missing_here("it belongs to Stripe Billing, which is not rehearsed.")
CREATE: Shape = {
    **dict.fromkeys(
        (
            "balance",
            "cash_balance",
            "invoice_prefix",
            "invoice_settings",
            "next_invoice_sequence",
            "payment_method",
            "source",
            "tax",
            "tax_id_data",
            "test_clock",
            "validate",
        ),
        _BILLING,
    ),
    "address": emptyable(hash_of(ADDRESS)),
    "business_name": emptyable(text(150)),
    "description": text(),
    "email": text(512),
    "expand": EXPAND,
    "individual_name": emptyable(text(150)),
    "metadata": metadata,
    "name": text(256),
    "phone": text(20),
    "preferred_locales": array(text(20)),
    "shipping": emptyable(hash_of(SHIPPING)),
    "tax_exempt": emptyable(choice("exempt", "none", "reverse")),
}
UPDATE: Shape = CREATE
RETRIEVE: Shape = {"expand": EXPAND}
LIST: Shape = {**PAGING, "created": CREATED, "email": text(512), "test_clock": _BILLING}
_FIELDS = (
    "address",
    "business_name",
    "description",
    "email",
    "individual_name",
    "name",
    "phone",
    "preferred_locales",
    "shipping",
    "tax_exempt",
)
_NO_ADDRESS = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))


def create(call: Call) -> Json:
    id = call.new_id("cus", 14)
    row = {
        "id": id,
        "object": "customer",
        "address": None,
        "balance": 0,
        "created": call.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": None,
        "discount": None,
        "email": None,
        "invoice_prefix": call.rehearsal.ids.letters(8).upper(),
        "invoice_settings": {
            "custom_fields": None,
            "default_payment_method": None,
            "footer": None,
            "rendering_options": None,
        },
        "livemode": False,
        "metadata": merged_metadata({}, call.params.get("metadata", {})),
        "name": None,
        "phone": None,
        "preferred_locales": [],
        "shipping": None,
        "tax_exempt": "none",
        "test_clock": None,
        **_given(call.params),
    }
    row = call.store.put("customers", id, row)
    call.emit("customer.created", row)
    return row


def retrieve(call: Call) -> Json:
    """Answers a customer; one that was deleted is still known, as deleted."""
    if call.store.get("customers_deleted", call.path_id) is not None:
        return {"id": call.path_id, "object": "customer", "deleted": True}
    return call.find("customers", "customer")


def update(call: Call) -> Json:
    before = call.find("customers", "customer")
    changes = _given(call.params)
    if "metadata" in call.params:
        changes["metadata"] = merged_metadata(before["metadata"], call.params["metadata"])
    row = call.store.change("customers", before["id"], **changes)
    previous = {name: before[name] for name in changes if before[name] != row[name]}
    if previous:
        call.emit("customer.updated", row, previous)
    return row


def delete(call: Call) -> Json:
    """Deletes a customer for good; their payments stay, their saved cards are detached."""
    row = call.store.get("customers", call.path_id)
    if row is None:
        raise missing("customer", call.path_id)
    for method in list(call.store.table("payment_methods").rows.values()):
        if method["customer"] == row["id"]:
            call.store.change("payment_methods", method["id"], customer=None)
    call.store.delete("customers", row["id"])
    call.store.put("customers_deleted", row["id"], {"id": row["id"]})
    call.emit("customer.deleted", row)
    return {"id": row["id"], "object": "customer", "deleted": True}


def list_(call: Call) -> Json:
    email = call.params.get("email")
    return lists.page(call, "customers", "/v1/customers", lambda row: email is None or row["email"] == email)


def _given(params: Json) -> Json:
    changes = {name: params[name] for name in _FIELDS if name in params}
    if changes.get("address"):
        changes["address"] = {**_NO_ADDRESS, **changes["address"]}
    if changes.get("shipping"):
        shipping = {"address": None, "name": None, "phone": None, **changes["shipping"]}
        changes["shipping"] = {**shipping, "address": {**_NO_ADDRESS, **(shipping["address"] or {})}}
    return changes
