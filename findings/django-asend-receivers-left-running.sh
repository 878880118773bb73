#!/usr/bin/env bash
# Django 5.2.19: when an async receiver raises, Signal.asend() raises at once and leaves the others running behind it; what
# they raise later is lost.
#
# Expected: like send(), asend() stops at the first error, so later receivers do not run; or, since receivers are
# concurrent, the others are cancelled or waited for, as asyncio.TaskGroup does. And an error that nobody gets is logged
# ("Task exception was never retrieved").
# Seen: asend() is asyncio.gather(). The caller goes on, a view has answered and its request_finished is over, while a
# receiver still writes: after the transaction's or the test's end. The second receiver's error appears nowhere, neither
# raised nor logged. asend_robust() has neither problem: it waits for all and gives back each error.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0
cat >"$dir/receivers.py" <<'PY'
import asyncio
import gc
import io
import logging
import sys

import django
from django.dispatch import Signal

log = io.StringIO()
logging.basicConfig(stream=log, level=logging.DEBUG)
order_paid = Signal()
events = []


async def fails(**kwargs):
    await asyncio.sleep(0.05)
    raise ValueError("first")


async def writes(**kwargs):
    await asyncio.sleep(0.3)
    events.append("writes")


async def fails_later(**kwargs):
    await asyncio.sleep(0.3)
    events.append("fails later")
    raise KeyError("second")


for receiver in (fails, writes, fails_later):
    order_paid.connect(receiver)


async def send(method):
    events.clear()
    try:
        events.append([type(result).__name__ for _, result in await method(sender=None)])
    except Exception as error:
        events.append(f"raised {error!r}")
    await asyncio.sleep(0.6)
    return list(events)


print("Django", django.__version__)
plain = asyncio.run(send(order_paid.asend))
robust = asyncio.run(send(order_paid.asend_robust))
gc.collect()
logged_by_asyncio = "never retrieved" in log.getvalue()
print("asend:", plain)
print("asend_robust:", robust)
print("logged by asyncio:", logged_by_asyncio)
sys.exit(plain != ["raised ValueError('first')", "writes", "fails later"] or logged_by_asyncio
         or robust != ["writes", "fails later", ["ValueError", "NoneType", "KeyError"]])
PY
"$dir/venv/bin/python" "$dir/receivers.py"
