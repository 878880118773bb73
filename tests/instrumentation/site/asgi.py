"""The ASGI application."""

import faulthandler
import os
import signal

from django.core.asgi import get_asgi_application
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor

faulthandler.register(signal.SIGUSR1)  # a test that waits in vain asks for every thread's stack
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "settings")
if os.environ.get("SITE_HTTPX"):
    HTTPXClientInstrumentor().instrument()
application = get_asgi_application()
