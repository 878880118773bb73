"""django-debug-toolbar, shown on pages of both kinds of views."""

from base import MIDDLEWARE, configure, served

configure(
    __name__,
    apps=("debug_toolbar",),
    middleware=("debug_toolbar.middleware.DebugToolbarMiddleware", *MIDDLEWARE),
    DEBUG=True,
    INTERNAL_IPS=["127.0.0.1"],
)

from debug_toolbar.toolbar import debug_toolbar_urls  # noqa: E402
from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("shop.views")), *debug_toolbar_urls()]
application = served(get_asgi_application())
