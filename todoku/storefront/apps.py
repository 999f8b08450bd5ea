"""The storefront as a Django app."""

from __future__ import annotations

import logging

from django.apps import AppConfig


class StorefrontConfig(AppConfig):
    """The shop's pages; at start the translations are made ready for every process that speaks to people."""

    name = "todoku.storefront"

    def ready(self) -> None:
        """Make the .mo files if their source is newer: they are not kept in the repository."""
        try:
            # A shop that was built elsewhere (AWS Lambda) has its words made already, and not the tools to make them.
            from todoku.storefront.words import compile_words
        except ModuleNotFoundError:
            return
        try:
            compile_words()
        except OSError as error:
            logging.getLogger(__name__).warning("The translations could not be made: %s", error)
