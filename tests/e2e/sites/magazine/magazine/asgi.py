"""The ASGI application."""

import os
from typing import Any

from django.core.asgi import get_asgi_application

from . import apm, counting

if os.environ.get("SITE_APM") == "opentelemetry-django":
    apm.start_opentelemetry()
application: Any = get_asgi_application()
if os.environ.get("SITE_COUNT"):
    application = counting.Counted(application)
