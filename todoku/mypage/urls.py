"""Addresses of my page."""

from __future__ import annotations

from django.urls import URLPattern, path

from todoku.mypage import pages

app_name = "mypage"
urlpatterns: list[URLPattern] = [
    path("mypage/", pages.orders, name="orders"),
    path("mypage/<str:token>/", pages.order, name="order"),
]
