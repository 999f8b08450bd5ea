"""The catalogue's CSV format (docs/catalog-format.md): read all of it, then write all of it or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _

from todoku.catalog import pictures
from todoku.catalog.csv_table import Column, Problem, Refused, Table, code, one_of, read, text, whole
from todoku.catalog.models import Product, TaxClass, Temperature
from todoku.stock.count import count

#: The parcel sizes a product may have (length + width + height in centimetres).
PARCEL_SIZES = (60, 80, 100, 120, 140, 160)
#: What one piece may cost (yen including tax).
LEAST_PRICE, GREATEST_PRICE = 1, 9_999_999
#: The most that is counted of one product: a slip of the finger must not promise millions of crabs.
GREATEST_STOCK = 1_000_000
#: What a product's own fields are called, in the file and in the database alike.
FIELDS = (
    "name_ja", "name_en", "description_ja", "description_en", "price", "tax_class", "temperature", "parcel_size",
    "picture",
)  # fmt: skip


def _parcel_size(cell: str) -> int:
    return int(one_of(str(size) for size in PARCEL_SIZES)(cell))


COLUMNS: Sequence[Column] = (
    Column("sku", code(64)),
    Column("name_ja", text(200)),
    Column("name_en", text(200)),
    Column("description_ja", text(5000, required=False, lines=True)),
    Column("description_en", text(5000, required=False, lines=True)),
    Column("price", whole(LEAST_PRICE, GREATEST_PRICE)),
    Column("tax_class", one_of(TaxClass.values)),
    Column("temperature", one_of(Temperature.values)),
    Column("parcel_size", _parcel_size),
    Column("stock", whole(0, GREATEST_STOCK)),
    Column("picture", text(200, required=False)),
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or would do: SKUs of new and of changed products, and how stock moved by SKU."""

    encoding: str
    rows: int
    new: list[str]
    changed: list[str]
    counted: dict[str, int]


def read_catalog(file: Path, pictures_folder: Path) -> Table:
    """Read and check a whole catalogue, pictures included; raises Refused with everything that is wrong.

    In the rows, ``picture`` is the hash that the picture will be kept under. Nothing is written.
    """
    table = read(file.name, contents(file), COLUMNS)
    table.refuse_doubles("sku")
    for row in table.rows:
        name = row.values.get("picture")
        if name:
            try:
                row.values["picture"] = pictures.look(pictures.find(pictures_folder, name))
                row.values["picture file"] = name
            except ValueError as error:
                table.refuse(row, "picture", str(error))
    table.checked()
    return table


def contents(file: Path) -> bytes:
    """Read a file's bytes; raises Refused when it cannot be read."""
    try:
        return file.read_bytes()
    except OSError as error:
        reason = _("The file cannot be read: %(error)s.") % {"error": error.strerror}
        raise Refused(str(file), [Problem(None, "", reason)]) from error


def import_catalog(
    file: Path,
    *,
    pictures_folder: Path | None = None,
    set_stock: bool = False,
    dry_run: bool = False,
    who: str = "import",
) -> Imported:
    """Bring the products of a file into the shop: new ones are made, known SKUs updated, others left alone.

    The stock column is a new product's opening count. A known product's stock is touched only with
    ``set_stock``, and then as a counted movement. Raises Refused, and then nothing was written.
    """
    folder = file.parent / "pictures" if pictures_folder is None else pictures_folder
    table = read_catalog(file, folder)
    if not dry_run:
        # Before the transaction, which then holds no lock while pictures are drawn. A picture under its hash that
        # no product names, should the writing fail, does no harm.
        for row in table.rows:
            if row.values["picture"]:
                pictures.keep(pictures.find(folder, row.values["picture file"]))
    try:
        with transaction.atomic():
            imported = _write(table, set_stock=set_stock, who=who)
            if dry_run:
                transaction.set_rollback(True)
    except IntegrityError as error:
        reason = _("Somebody else is importing the same products just now; please try again.")
        raise Refused(table.file, [Problem(None, "", reason)]) from error
    return imported


def _write(table: Table, *, set_stock: bool, who: str) -> Imported:
    rows = {row.values["sku"]: row.values for row in table.rows}
    # "No key": an order may go on naming these products meanwhile. Ordered, so that two imports never deadlock.
    known = {
        product.sku: product
        for product in Product.objects.select_for_update(no_key=True).filter(sku__in=rows).order_by("id")
    }
    changed: list[Product] = []
    now = timezone.now()
    for sku, product in known.items():
        given = {name: rows[sku][name] for name in FIELDS}
        if any(getattr(product, name) != value for name, value in given.items()):
            for name, value in given.items():
                setattr(product, name, value)
            product.changed_at = now  # bulk_update passes auto_now by
            changed.append(product)
    Product.objects.bulk_update(changed, [*FIELDS, "changed_at"], batch_size=500)
    last: int = Product.objects.aggregate(last=Max("position"))["last"] or 0
    new = Product.objects.bulk_create(
        (
            Product(sku=sku, position=position, **{name: values[name] for name in FIELDS})
            for position, (sku, values) in enumerate(
                ((sku, values) for sku, values in rows.items() if sku not in known), start=last + 1
            )
        ),
        batch_size=500,
    )
    to_count = [*new, *known.values()] if set_stock else new
    sku_of = {product.pk: product.sku for product in to_count}
    moved = count({key: rows[sku]["stock"] for key, sku in sku_of.items()}, who=who, why=table.file)
    return Imported(
        encoding=table.encoding,
        rows=len(rows),
        new=[product.sku for product in new],
        changed=[product.sku for product in changed],
        counted={sku_of[key]: delta for key, delta in moved.items()},
    )
