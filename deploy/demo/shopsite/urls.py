"""Routes of the shop that Django serves; the event stream is served beside it, in `asgi.py`."""

from django.urls import include, path

from problems import fixed
from shop.views import api, cart, checkout, pages

urlpatterns = [
    path("", pages.home, name="home"),
    path("products/", pages.product_list, name="product-list"),
    path("products/<slug:slug>/", pages.product_detail, name="product-detail"),
    path("contact-sheet/", pages.contact_sheet, name="contact-sheet"),
    path("live/", pages.live, name="live"),
    path("reports/order-lines.csv", pages.order_lines_report, name="order-lines-report"),
    path("cart/", cart.show, name="cart"),
    path("cart/add/<slug:slug>/", cart.add, name="cart-add"),
    path(
        "checkout/",
        checkout.checkout_async if fixed("parked_thread") else checkout.checkout,
        name="checkout",
    ),
    path("orders/<int:pk>/", checkout.thanks, name="thanks"),
    path("accounts/", include("allauth.urls")),
    path("api/products/", api.products),
    path("api/products/<slug:slug>/stock/", api.stock),
    path("api/token/", api.token),
    path("api/summary/", api.summary),
    path("api/recent-purchases/", api.recent_purchases),
    path("api/account/", api.account),
]
