"""django-prometheus: a middleware before and one after all others."""

from base import MIDDLEWARE, configure, served

configure(
    __name__,
    apps=("django_prometheus",),
    middleware=(
        "django_prometheus.middleware.PrometheusBeforeMiddleware",
        *MIDDLEWARE,
        "django_prometheus.middleware.PrometheusAfterMiddleware",
    ),
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("shop.views")), path("", include("django_prometheus.urls"))]
application = served(get_asgi_application())
