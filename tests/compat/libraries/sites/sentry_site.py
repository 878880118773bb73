"""sentry-sdk with tracing, whose receiver nobody runs."""

import sentry_sdk
from base import configure, served

sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", traces_sample_rate=1.0)
configure(__name__)

from django.core.asgi import get_asgi_application  # noqa: E402
from django.urls import include, path  # noqa: E402

urlpatterns = [path("", include("shop.views"))]
application = served(get_asgi_application())
