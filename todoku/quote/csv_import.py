"""The CSV formats of shipping fees, remote islands, the shipping rule and tax rates (docs/catalog-format.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from todoku.catalog.csv_import import contents
from todoku.catalog.csv_table import Column, Problem, Refused, Table, day, digits, one_of, read, text, whole
from todoku.catalog.models import TaxClass
from todoku.quote import rules
from todoku.quote.models import RemoteIsland, ShippingFee, ShippingRule, TaxRate

#: The most that one parcel's fee or surcharge can be (yen): a slip of the finger must not be charged.
GREATEST_FEE = 100_000
#: The most that the threshold of free shipping can be (yen).
GREATEST_THRESHOLD = 99_999_999


def _size(cell: str) -> int:
    return int(one_of(str(size) for size in rules.SIZES)(cell))


def threshold(cell: str) -> int | None:
    """Read from which goods total shipping is free: whole yen, or ``never``."""
    return None if cell == "never" else whole(0, GREATEST_THRESHOLD)(cell)


FEE_COLUMNS: Sequence[Column] = (
    Column("region", one_of(rules.REGIONS)),
    Column("size", _size),
    Column("temperature", one_of(rules.TEMPERATURES)),
    Column("fee", whole(0, GREATEST_FEE)),
)
ISLAND_COLUMNS: Sequence[Column] = (
    Column("postal_prefix", digits(7)),
    Column("fee", whole(0, GREATEST_FEE)),
    Column("name_ja", text(100, required=False)),
    Column("name_en", text(100, required=False)),
)
RULE_COLUMNS: Sequence[Column] = (Column("free_above", threshold),)
TAX_COLUMNS: Sequence[Column] = (
    Column("tax_class", one_of(TaxClass.values)),
    Column("percent", whole(0, 100)),
    Column("starts_on", day),
)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import of one table did: how many rows the file has, and how many were new, changed and removed."""

    file: str
    encoding: str
    rows: int
    new: int
    changed: int
    removed: int


@contextmanager
def _alone() -> Iterator[None]:
    """Tell a person in their words when somebody else writes the same new rows at the same moment."""
    try:
        yield
    except IntegrityError as error:
        reason = _("Somebody else is importing the same table just now; please try again.")
        raise Refused(_("The import"), [Problem(None, "", reason)]) from error


def _table(file: Path, columns: Sequence[Column], *key: str) -> Table:
    table = read(file.name, contents(file), columns)
    table.refuse_doubles(*key)
    return table


def _write(table: Table, model: type[models.Model], key: Sequence[str], *, removes: bool) -> Imported:
    """Make the database's table say what the file says, changing only the rows that differ."""
    manager: models.Manager[Any] = model._default_manager
    kept: Mapping[tuple[Any, ...], Any] = {
        tuple(getattr(row, name) for name in key): row for row in manager.select_for_update().order_by("pk")
    }
    given = {tuple(row.values[name] for name in key): row.values for row in table.checked()}
    fields = [name for name in table.rows[0].values if name not in key]
    changed = []
    for values in given.values():
        row = kept.get(tuple(values[name] for name in key))
        if row is not None and any(getattr(row, name) != values[name] for name in fields):
            for name in fields:
                setattr(row, name, values[name])
            changed.append(row)
    manager.bulk_update(changed, fields)
    new = manager.bulk_create(model(**values) for at, values in given.items() if at not in kept)
    gone = [row.pk for at, row in kept.items() if at not in given] if removes else []
    manager.filter(pk__in=gone).delete()
    return Imported(table.file, table.encoding, len(given), len(new), len(changed), len(gone))


def import_shipping(
    *,
    fees: Path | None = None,
    islands: Path | None = None,
    rule: Path | None = None,
    free_above: str | None = None,
    dry_run: bool = False,
) -> list[Imported]:
    """Replace the shipping fees, the remote islands and the rule by those that are given; the others stay.

    A file is the whole table: what it does not name is removed, and the shop no longer sends there. All that is
    given is written together or, when Refused is raised with the problems of every file, not at all.
    """
    refused: list[Refused] = []
    tables: list[tuple[Table, type[models.Model], tuple[str, ...]]] = []
    rule_table: Table | None = None
    parts: list[tuple[Path, Sequence[Column], tuple[str, ...], type[models.Model] | None]] = []
    if fees is not None:
        parts.append((fees, FEE_COLUMNS, ("region", "size", "temperature"), ShippingFee))
    if islands is not None:
        parts.append((islands, ISLAND_COLUMNS, ("postal_prefix",), RemoteIsland))
    if rule is not None:
        parts.append((rule, RULE_COLUMNS, ("free_above",), None))
    for file, columns, key, model in parts:
        try:
            table = _table(file, columns, *key)
            if model is None and len(table.rows) > 1:
                table.refuse(table.rows[1], "", _("the shop has one shipping rule, so the file has one row"))
            table.checked()
        except Refused as error:
            refused.append(error)
            continue
        if model is None:
            rule_table = table
        else:
            tables.append((table, model, key))
    chosen: int | None = None
    if free_above is not None:
        try:
            chosen = threshold(free_above)
        except ValueError as error:
            refused.append(Refused("--free-above", [Problem(None, "", str(error))]))
    if refused:
        raise refused[0] if len(refused) == 1 else SeveralRefused(refused)

    with _alone(), transaction.atomic():
        done = [_write(table, model, key, removes=True) for table, model, key in tables]
        if rule_table is not None:
            chosen = rule_table.rows[0].values["free_above"]
        if rule_table is not None or free_above is not None:
            was = ShippingRule.objects.filter(pk=1).values_list("free_above", flat=True)
            before = list(was)
            if before != [chosen]:
                ShippingRule.objects.update_or_create(pk=1, defaults={"free_above": chosen})
            done.append(
                Imported(
                    file=rule_table.file if rule_table is not None else "--free-above",
                    encoding=rule_table.encoding if rule_table is not None else "",
                    rows=1,
                    new=int(not before),
                    changed=int(bool(before) and before != [chosen]),
                    removed=0,
                )
            )
        if dry_run:
            transaction.set_rollback(True)
    return done


class SeveralRefused(Refused):
    """Several files were refused; ``told`` tells of each."""

    def __init__(self, refused: Sequence[Refused]) -> None:
        super().__init__(
            ", ".join(error.file for error in refused),
            [problem for error in refused for problem in error.problems],
        )
        self.refused = list(refused)

    def told(self) -> str:
        """The messages of all the files."""
        return "\n".join(error.told() for error in self.refused)


def import_tax_rates(file: Path, *, dry_run: bool = False) -> Imported:
    """Bring in dated tax rates: new days are added, known days are corrected, and none is ever removed.

    A rate that a file forgets must not vanish: without it the shop could not tell the tax of a day.
    """
    table = _table(file, TAX_COLUMNS, "tax_class", "starts_on")
    table.checked()
    with _alone(), transaction.atomic():
        done = _write(table, TaxRate, ("tax_class", "starts_on"), removes=False)
        if dry_run:
            transaction.set_rollback(True)
    return done


def empty_places() -> list[tuple[str, str, int]]:
    """List the region, temperature and size of every parcel that the shop has no fee for, so does not send."""
    kept = set(ShippingFee.objects.values_list("region", "temperature", "size"))
    return [
        (region, temperature, size)
        for region in rules.REGIONS
        for temperature in rules.TEMPERATURES
        for size in rules.SIZES
        if (region, temperature, size) not in kept
    ]
