#!/usr/bin/env bash
# Django 5.2.19: get_asgi_application() after django.setup() switches loggers of the site's own modules off.
#
# An expert would guess that the second django.setup() does nothing: apps.populate() returns at once. But it configures
# logging again each time, and a LOGGING without "disable_existing_loggers": False disables every logger made since the
# first time. Under manage.py's runserver, in a script, or in an asgi.py that calls django.setup() first, the warnings
# of every module imported in between are gone, without a word, while under a server that only calls
# get_asgi_application() they are there.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --python "$folder/env/bin/python" install --quiet --no-compile --disable-pip-version-check "django==5.2.19"
cat > "$folder/site.py" <<'PYTHON'
import logging
import sys

import django
from django.conf import settings
from django.core.asgi import get_asgi_application

settings.configure(
    LOGGING={
        "version": 1,
        "handlers": {"console": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}},
        "root": {"handlers": ["console"], "level": "WARNING"},
    }
)
if sys.argv[1] == "twice":
    django.setup()
    logger = logging.getLogger("shop.orders")  # an app's module is imported
    get_asgi_application()
else:
    get_asgi_application()
    logger = logging.getLogger("shop.orders")
logger.warning("stock is low")
print(f"disabled: {logger.disabled}")
PYTHON
echo "Django $("$folder/env/bin/python" -m django --version)"
once=$("$folder/env/bin/python" "$folder/site.py" once)
twice=$("$folder/env/bin/python" "$folder/site.py" twice)
printf 'get_asgi_application() alone:\n%s\n\ndjango.setup() before it:\n%s\n' "$once" "$twice"
[ "$once" = $'stock is low\ndisabled: False' ]
[ "$twice" = "disabled: True" ]
