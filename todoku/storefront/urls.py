"""Addresses of the storefront."""

from __future__ import annotations

from django.urls import URLPattern, path, re_path

from todoku.storefront import about, basket, browse, checkout, earlier, orders

app_name = "storefront"
urlpatterns: list[URLPattern] = [
    path("", browse.home, name="home"),
    re_path(r"^products/(?P<sku>[^/\x00-\x1f]{1,64})/$", browse.product, name="product"),
    path("media/<path:name>", browse.picture, name="picture"),
    path("cart/", basket.cart, name="cart"),
    path("cart/put/", basket.put, name="put"),
    path("cart/change/", basket.change, name="change"),
    path("cart/take-out/", basket.take_out, name="take_out"),
    path("checkout/", checkout.begin, name="begin"),
    path("checkout/details/", checkout.fill_in, name="details"),
    path("checkout/confirm/", checkout.confirm, name="confirm"),
    path("checkout/earlier/", earlier.earlier, name="earlier"),
    path("checkout/place/", checkout.press, name="place"),
    re_path(r"^postal-code/(?P<code>[0-9]{7})/$", checkout.find_place, name="find_place"),
    path("orders/<str:token>/", orders.order, name="order"),
    path("orders/<str:token>/status/", orders.status, name="order_status"),
    path("orders/<str:token>/back/", orders.back, name="order_back"),
    path("orders/<str:token>/cancel/", orders.give_up, name="give_up"),
    path("orders/<str:token>/again/", orders.order_again, name="order_again"),
    path("legal/", about.legal, name="legal"),
    path("privacy/", about.privacy, name="privacy"),
    path("language/", about.language, name="language"),
    path("healthz", about.healthz, name="healthz"),
]
