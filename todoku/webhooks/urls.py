"""Addresses of the doors that others knock on."""

from __future__ import annotations

from django.urls import path

from todoku.webhooks import views

app_name = "webhooks"
urlpatterns = [path("stripe/", views.stripe, name="stripe")]
