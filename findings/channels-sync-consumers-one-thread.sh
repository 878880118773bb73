#!/usr/bin/env bash
# Channels 4.3.2 with Django 5.2.19: all synchronous consumers of a process share one thread.
#
# Expected: a WebsocketConsumer's handlers run in a pool of threads, which a long handler may fill, or, as a Django view
# does under ASGI, each connection in a thread of its own.
# Seen: three connections whose handlers take 0.5 s each need 1.5 s, all in the same thread: SyncConsumer dispatches with a
# thread-sensitive sync_to_async, and outside Django's HTTP handler there is no ThreadSensitiveContext. One consumer that
# waits for a slow service stops every other WebSocket of the process, their connects and disconnects included, and every
# database_sync_to_async() call of async consumers, too.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv --without-pip "$dir/venv"
python3 -m pip --python "$dir/venv/bin/python" install --quiet --no-compile --disable-pip-version-check \
  Django==5.2.19 asgiref==3.13.0 channels==4.3.2
cat >"$dir/site.py" <<'PY'
import asyncio
import sys
import threading
import time
from importlib.metadata import version

from django.conf import settings

settings.configure(SECRET_KEY="none")
import django

django.setup()
from asgiref.testing import ApplicationCommunicator
from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer, WebsocketConsumer

threads = set()


class Slow(WebsocketConsumer):
    def receive(self, text_data=None, bytes_data=None):
        threads.add(threading.get_ident())
        time.sleep(0.5)
        self.send(text_data="done")


class Reader(AsyncWebsocketConsumer):
    async def receive(self, text_data=None, bytes_data=None):
        await database_sync_to_async(lambda: threads.add(threading.get_ident()))()
        await self.send(text_data="read")


async def open_connection(consumer):
    client = ApplicationCommunicator(consumer.as_asgi(), {"type": "websocket", "path": "/", "subprotocols": []})
    await client.send_input({"type": "websocket.connect"})
    assert (await client.receive_output(timeout=10))["type"] == "websocket.accept"
    return client


async def main():
    slow = [await open_connection(Slow) for _ in range(3)]
    reader = await open_connection(Reader)
    start = time.monotonic()
    for client in slow:
        await client.send_input({"type": "websocket.receive", "text": "go"})
    await asyncio.sleep(0.1)
    await reader.send_input({"type": "websocket.receive", "text": "go"})
    await reader.receive_output(timeout=10)
    waited = time.monotonic() - start
    for client in slow:
        await client.receive_output(timeout=10)
    for client in (*slow, reader):
        await client.send_input({"type": "websocket.disconnect", "code": 1000})
        await client.wait(timeout=10)
    return waited


waited = asyncio.run(main())
print(f"channels {version('channels')}, Django {django.__version__}: {len(threads)} thread for three synchronous consumers "
      f"and an async one's read, which waited {waited:.1f} s")
sys.exit(len(threads) != 1 or waited < 1.2)
PY
"$dir/venv/bin/python" -W ignore "$dir/site.py"
