"""What to change about database connections: waited for, and left open."""

from typing import Final

from asgiscope.semconv import FindingKind

from asgiscope_collector.models import Advice

_DATABASES: Final = "https://docs.djangoproject.com/en/stable/ref/databases/"
CONNECTIONS: Final = {
    FindingKind.CONNECTION_WAIT: Advice(
        title="Hold a connection for less time, or give the pool more of them",
        reason="Every connection of Django's pool was in use. A request keeps the one it took until it ends, also "
        "while it waits for another server or streams its body.",
        steps=[
            "Look at the holders on the span: what waits for a network should not keep a connection meanwhile.",
            "Call `connection.close()` before a long wait: with a pool that gives the connection back.",
            "Then size it: max_size, for as many threads as query at once, within what the database allows.",
        ],
        code='DATABASES["default"]["OPTIONS"] = {"pool": {"max_size": 20, "timeout": 5}}',
        link=f"{_DATABASES}#connection-pool",
    ),
    FindingKind.CONNECTION_LEFT: Advice(
        title="Do not keep connections beyond their thread",
        reason="A connection belongs to the thread that opened it, and this thread has ended: nobody can use it or "
        "close it until the garbage collector comes by. The database counts it as taken.",
        steps=[
            "Under ASGI, set CONN_MAX_AGE to 0: each request has a thread of its own, so nothing is ever reused.",
            "Reuse connections through a pool instead: Django's for psycopg, or one beside the database.",
            "In threads and contexts of your own, close them at the end: `connections.close_all()`.",
        ],
        code='DATABASES["default"] |= {"CONN_MAX_AGE": 0, "OPTIONS": {"pool": True}}',
        link=f"{_DATABASES}#persistent-connections",
    ),
    FindingKind.CONNECTION_IDLE: Advice(
        title="Close the connection at the end of the function that runs in the pool",
        reason="Each worker of a thread pool has a connection of its own. Django closes those of a request's own "
        "thread when the request ends, and knows nothing of the pool's: they stay open, one a worker and process, "
        "until the database refuses more.",
        steps=[
            "Call the ORM by its asynchronous methods or sync_to_async: Django cleans up after their thread.",
            "Where the work must run in a pool, close its connections in a finally: `connections.close_all()`.",
            "Bound the pool: a ThreadPoolExecutor of as many workers as the database has connections to spare.",
        ],
        code="def report():\n    try:\n        return list(Order.objects.all())\n    finally:\n"
        "        connections.close_all()",
        link=f"{_DATABASES}#persistent-connections",
    ),
}
