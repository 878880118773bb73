"""django-silk: every request and its queries are stored by a synchronous middleware."""

from base import MIDDLEWARE, configure, served

configure(
    __name__,
    apps=("silk",),
    middleware=("silk.middleware.SilkyMiddleware", *MIDDLEWARE),
    # Else each of its writes tidies up by chance, one of ten: requests cost 51 to 56 queries, whoever watches.
    SILKY_MAX_RECORDED_REQUESTS_CHECK_PERCENT=0,
)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("shop.views")), path("silk/", include("silk.urls", namespace="silk"))]
application = served(get_asgi_application())
