"""Addresses of the mypage."""

from __future__ import annotations

from django.urls import URLPattern

app_name = "mypage"
urlpatterns: list[URLPattern] = []
