#!/usr/bin/env bash
# django-silk 5.6.0: how many queries one and the same page costs varies from request to request.
#
# An expert would guess that a profiling middleware adds a fixed number of queries to a page. It does not: when it
# writes its records it tidies up with a chance of one in ten each time (SILKY_MAX_RECORDED_REQUESTS_CHECK_PERCENT, 10
# by default), which is a query more. Two runs of a site can therefore
# not be compared by their queries unless that setting is 0: then every request costs the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv --without-pip "$folder/env"
python3 -m pip --python "$folder/env/bin/python" install --quiet --no-compile --disable-pip-version-check \
  "django==5.2.8" "django-silk==5.6.0"
cat > "$folder/site.py" <<'PYTHON'
import sys
from collections import Counter

import django
from django.conf import settings

settings.configure(
    SECRET_KEY="x",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.sessions", "silk"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware", "silk.middleware.SilkyMiddleware"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    SILKY_MAX_RECORDED_REQUESTS_CHECK_PERCENT=int(sys.argv[1]),
)
django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.http import HttpResponse
from django.test import Client
from django.urls import path


def page(request):
    return HttpResponse(str([User.objects.count() for _ in range(5)]))


urlpatterns = [path("", page)]
call_command("migrate", verbosity=0)
statements = Counter()
connection.ensure_connection()
connection.connection.set_trace_callback(lambda sql: statements.update(["all"]))
client, seen = Client(), []
client.get("/")
for _ in range(60):
    before = statements["all"]
    assert client.get("/").status_code == 200
    seen.append(statements["all"] - before)
print(dict(sorted(Counter(seen).items())))
sys.exit(len(set(seen)) > 1)
PYTHON
"$folder/env/bin/python" -c "import django, silk; from importlib.metadata import version; print('Django', django.__version__, 'django-silk', version('django-silk'))"
echo "queries of a page -> requests, by default:"
if "$folder/env/bin/python" "$folder/site.py" 10; then echo "they no longer vary"; exit 1; fi
echo "and with SILKY_MAX_RECORDED_REQUESTS_CHECK_PERCENT=0:"
"$folder/env/bin/python" "$folder/site.py" 0
