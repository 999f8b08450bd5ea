"""Addresses for whatever watches over the shop (``/healthz`` stands with the shop's own pages)."""

from __future__ import annotations

from django.urls import path

from todoku.health.metrics import metrics
from todoku.health.ready import readyz

app_name = "health"
urlpatterns = [path("readyz", readyz, name="readyz"), path("metrics", metrics, name="metrics")]
