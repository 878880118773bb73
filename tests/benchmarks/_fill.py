"""A day of spans made inside the engine: three services of forty routes and four processes each.

They come in the order of their times and pass through the same views as those that are sent: requests with bridge
calls, queries and calls to a pool, and in one trace of twenty a stall or a wait with its holder, in one of fifty a
refusal. Beside them the middleware chain of each service and, as asgiscope sends them, tallies of every minute.
"""

from typing import Final

from asgiscope_collector.store.client import Engine

CHUNK: Final = 250_000
DAY_NS: Final = 86_400_000_000_000
_SECONDS: Final = 600
_AT_ONCE: Final = 20_000
"""Rows of tallies, before each becomes one of every metric."""

_SPANS: Final = """
INSERT INTO otel_traces
(
    Timestamp, TraceId, SpanId, ParentSpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName,
    ScopeVersion, SpanAttributes, Duration, StatusCode, `Links.TraceId`, `Links.SpanId`, `Links.TraceState`,
    `Links.Attributes`
)
WITH
    intDiv(n, 5) AS trace,
    n % 5 AS place,
    cityHash64(trace) AS dice,
    dice % 3 AS service,
    concat('/route/', toString(intDiv(dice, 1000) % 40), '/') AS route,
    concat('shop.views.view_', toString(intDiv(dice, 1000) % 40)) AS function,
    toString(1000000 + dice % 9000000) AS cost,
    -- The last span of one trace in twenty is trouble: of the loop, or of the shared thread. In one in fifty it is
    -- a refusal, and in one in ten the one before it ran in a pool.
    place = 4 AND dice % 20 = 0 AS trouble,
    place = 4 AND dice % 50 = 1 AS refused,
    place = 3 AND dice % 10 = 2 AS pooled,
    dice % 40 = 0 AS blocks,
    lower(hex(cityHash64(trace, 'a'))) AS half,
    lower(hex(cityHash64(trace - 7, 'a'))) AS other_half,
    map(
        'thread.id', '140000000000000', 'thread.name', 'MainThread', 'asgiscope.thread.role', 'request',
        'asyncio.task.name', 'Task-1', 'asgiref.context.id', 'c1', 'http.route', route
    ) AS tags
SELECT
    fromUnixTimestamp64Nano(
        {since:Int64} + toInt64((n - {first:UInt64}) * ({length:Int64} / {total:UInt64}))
    ) AS Timestamp,
    leftPad(half, 32, '0') AS TraceId,
    leftPad(lower(hex(n)), 16, '0') AS SpanId,
    if(place = 0, '', leftPad(lower(hex(n - place)), 16, '0')) AS ParentSpanId,
    multiIf(
        place = 0, concat('GET ', route),
        place = 1, 'sync_to_async shop.services.load',
        trouble, if(blocks, 'event_loop blocked', 'sync_to_async shop.services.save'),
        refused, 'async_unsafe refused',
        pooled, 'to_thread shop.images.shrink',
        'SELECT shop_product'
    ) AS SpanName,
    if(place = 0, 'Server', if(place IN (2, 3), 'Client', 'Internal')) AS SpanKind,
    concat('shop-', toString(service)) AS ServiceName,
    map(
        'service.name', ServiceName, 'service.version', if(Timestamp < now() - 43200, '1.0', '1.1'),
        'deployment.environment.name', 'production', 'service.instance.id', toString(dice % 4)
    ) AS ResourceAttributes,
    'asgiscope' AS ScopeName,
    '0.1.0' AS ScopeVersion,
    mapConcat(tags, multiIf(
        place = 0, map(
            'http.request.method', 'GET', 'http.response.status_code', if(dice % 100 = 0, '500', '200'),
            'asgiscope.request.hops', '3', 'asgiscope.request.wait_ns', cost, 'asgiscope.request.queries', '2'
        ),
        trouble AND blocks, map(
            'asgiscope.finding', 'loop_blocked', 'asgiscope.finding.cost_ns', cost, 'asgiscope.blocked_ns', cost,
            'asgiscope.finding.victims', '2', 'asgiscope.finding.victims_ns', cost, 'code.function.name', function,
            'code.file.path', 'shop/views.py', 'code.line.number', '42',
            'asgiscope.operation', 'SELECT shop_product',
            'code.stacktrace', 'File "shop/views.py", line 42, in view'
        ),
        trouble, map(
            'asgiscope.finding', 'contention', 'asgiscope.finding.cost_ns', cost, 'asgiref.wait_ns', cost,
            'asgiref.run_ns', '1000000', 'asgiref.executor', 'shared', 'asgiref.function', 'shop.services.save',
            'code.function.name', function, 'code.file.path', 'shop/services.py', 'code.line.number', '7'
        ),
        refused, map(
            'asgiscope.finding', 'refusal', 'asgiscope.finding.victims', '1', 'asgiscope.refused_by', 'django',
            'code.function.name', function, 'code.file.path', 'shop/context.py', 'code.line.number', '3',
            'asgiscope.chain', '["request.user","session load"]'
        ),
        pooled, map(
            'asgiref.executor', 'pool', 'asgiref.executor.workers', '8', 'asgiref.function', 'shop.images.shrink',
            'asgiref.wait_ns', cost, 'asgiref.run_ns', '9000000', 'code.function.name', function,
            'code.file.path', 'shop/views.py', 'code.line.number', '14'
        ),
        place = 1, map(
            'asgiref.executor', 'request', 'asgiref.function', 'shop.services.load', 'asgiref.wait_ns', cost,
            'asgiref.run_ns', '2000000', 'asgiref.resume_ns', '100000', 'code.function.name', function,
            'code.file.path', 'shop/views.py', 'code.line.number', '12', 'asgiref.queue.depth', '0'
        ),
        map(
            'db.system.name', 'postgresql', 'db.query.summary', 'SELECT shop_product',
            'db.operation.name', 'SELECT',
            'db.query.text', 'SELECT id, name, price FROM shop_product WHERE id = %s'
        )
    )) AS SpanAttributes,
    1000000 + dice % 200000000 AS Duration,
    if(dice % 100 = 0 AND place = 0, 'Error', 'Unset') AS StatusCode,
    if(trouble, [leftPad(other_half, 32, '0')], []) AS LinkTraces,
    if(trouble, [leftPad(lower(hex(n - place - 35)), 16, '0')], []) AS LinkSpans,
    if(trouble, [''], []) AS LinkStates,
    if(trouble, [map(
        'asgiscope.link', if(blocks, 'delayed', 'held_by'), 'asgiscope.overlap_ns', cost,
        'asgiscope.link.function', 'shop.reports.export', 'http.route', '/report/',
        'code.function.name', function, 'code.file.path', 'shop/reports.py'
    )], []) AS LinkAttributes
FROM (SELECT number + {offset:UInt64} AS n FROM numbers({chunk:UInt64}))
"""

_CHAINS: Final = """
INSERT INTO otel_traces
    (Timestamp, TraceId, SpanId, SpanName, SpanKind, ServiceName, ResourceAttributes, ScopeName, SpanAttributes)
SELECT
    fromUnixTimestamp64Nano({since:Int64} + toInt64(n)),
    leftPad(lower(hex(n)), 32, 'c'),
    leftPad(lower(hex(n)), 16, 'c'),
    'middleware chain',
    'Internal',
    concat('shop-', toString(n)) AS ServiceName,
    map('service.name', ServiceName, 'service.version', '1.0', 'deployment.environment.name', 'production'),
    'asgiscope',
    map(
        'asgiscope.middleware.names',
        '["django.middleware.security.SecurityMiddleware","shop.middleware.Basket","view"]',
        'asgiscope.middleware.modes', '["both","sync","async"]',
        'asgiscope.middleware.adapted', '["","sync_to_async","async_to_sync"]'
    )
FROM (SELECT number AS n FROM numbers(3))
"""

# As a process of each service sends them, summed by the views: a row a minute and what it is about.
_TALLIES: Final = (
    """
INSERT INTO otlp_metrics_point
(
    ServiceName, ResourceAttributes, ScopeName, MetricName, Attributes, TimeUnix, AggregationTemporality, Kind,
    Count, Sum, Max, Scale, PositiveOffset, PositiveBucketCounts, Value
)
WITH
    intDiv(n, 120) AS minute,
    n % 3 AS service,
    intDiv(n, 3) % 40 AS route,
    metric IN ('asgiscope.request.duration', 'asgiscope.bridge.wait', 'asgiscope.bridge.run') AS timed
SELECT
    concat('shop-', toString(service)),
    map(
        'service.version', if(minute >= 720, '1.1', '1.0'), 'deployment.environment.name', 'production'
    ),
    'asgiscope',
    arrayJoin([
        'asgiscope.request.duration', 'asgiscope.request.hops', 'asgiscope.request.queries',
        'asgiscope.request.wait', 'asgiscope.bridge.wait', 'asgiscope.bridge.run'
    ]) AS metric,
    if(
        startsWith(metric, 'asgiscope.request.'),
        map('http.route', concat('/route/', toString(route), '/')),
        map(
            'http.route', concat('/route/', toString(route), '/'), 'asgiref.function', 'shop.services.load',
            'asgiref.executor', if(route % 4 = 0, 'shared', 'request')
        )
    ),
    fromUnixTimestamp64Nano({since:Int64} + toInt64(minute) * 60000000000),
    1,
    if(timed, 'exponential_histogram', 'sum'),
    if(timed, 40, 0),
    if(timed, 0.4, 0),
    if(timed, 0.1, 0),
    4,
    if(timed, -64, 0),
    if(timed, arrayWithConstant(20, toUInt64(2)), []),
    if(timed, 0, if(metric = 'asgiscope.request.wait', 0.1, 80))
FROM (SELECT number AS n FROM numbers({first:UInt64}, {count:UInt64}))
""",
    """
INSERT INTO otlp_metrics_point
(
    ServiceName, ResourceAttributes, ScopeName, MetricName, Attributes, TimeUnix, AggregationTemporality, Kind,
    Count, Sum, Max, Scale, PositiveOffset, PositiveBucketCounts, Value
)
SELECT
    concat('shop-', toString(n % 3)),
    map(
        'service.version', if(intDiv(n, 3) >= 720, '1.1', '1.0'), 'deployment.environment.name', 'production'
    ),
    'asgiscope',
    arrayJoin(['asgiscope.loop.blocked', 'asgiscope.loop.time']) AS metric,
    if(metric = 'asgiscope.loop.blocked', map('asgiscope.cause', 'call'), map()),
    fromUnixTimestamp64Nano({since:Int64} + toInt64(intDiv(n, 3)) * 60000000000),
    1,
    if(metric = 'asgiscope.loop.blocked', 'exponential_histogram', 'sum'),
    if(metric = 'asgiscope.loop.blocked', 5, 0),
    if(metric = 'asgiscope.loop.blocked', 0.2, 0),
    if(metric = 'asgiscope.loop.blocked', 0.05, 0),
    4,
    if(metric = 'asgiscope.loop.blocked', -80, 0),
    if(metric = 'asgiscope.loop.blocked', [1, 1, 1, 1, 1], []),
    if(metric = 'asgiscope.loop.blocked', 0, 60)
FROM (SELECT number AS n FROM numbers({first:UInt64}, {count:UInt64}))
""",
)


def fill(engine: Engine, have: int, want: int, since_ns: int, days: int = 1) -> None:
    """Add spans of the days that begin at `since_ns` to a store that has so many, until it has `want`.

    The tallies and chains of the days come with the first of them.
    """
    for offset in range(have, want, CHUNK):
        engine.execute(
            _SPANS,
            {
                "since": since_ns,
                "length": days * DAY_NS,
                "first": have,
                "total": want - have,
                "offset": offset,
                "chunk": min(CHUNK, want - offset),
            },
            seconds=_SECONDS,
        )
    if not have:
        engine.execute(_CHAINS, {"since": since_ns})
        for sql, rows in zip(_TALLIES, (days * 1440 * 120, days * 1440 * 3), strict=True):
            for first in range(0, rows, _AT_ONCE):
                count = min(_AT_ONCE, rows - first)
                engine.execute(sql, {"since": since_ns, "first": first, "count": count}, seconds=_SECONDS)
