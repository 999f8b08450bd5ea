"""Every address the shop answers."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("console/", admin.site.urls),
    path("webhooks/", include("todoku.webhooks.urls")),
    path("", include("todoku.health.urls")),
    path("", include("todoku.mypage.urls")),
    path("", include("todoku.storefront.urls")),
]

handler400 = "todoku.storefront.errors.bad_request"
handler403 = "todoku.storefront.errors.forbidden"
handler404 = "todoku.storefront.errors.not_found"
handler500 = "todoku.storefront.errors.broken"
