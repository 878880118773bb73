"""SQL fragments that several schema files share; ddl.py inserts them for `${name}`."""

from typing import Final

_VALUE: Final = (
    "Tuple(string_value String, bool_value Nullable(Bool), int_value Nullable(Int64), "
    "double_value Nullable(Float64), bytes_value String)"
)
_ATTRIBUTES: Final = f"Array(Tuple(key String, value {_VALUE}))"
_EXEMPLARS: Final = (
    "Array(Tuple(time_unix_nano UInt64, as_double Float64, span_id String, trace_id String, as_int Int64, "
    f"filtered_attributes {_ATTRIBUTES}))"
)

_HTTP_STATUS: Final = (
    "toUInt16OrZero(if(SpanAttributes['http.response.status_code'] != '', "
    "SpanAttributes['http.response.status_code'], SpanAttributes['http.status_code']))"
)
_HTTP_ROUTE: Final = (
    "if(HttpRoute = '' AND SpanKind = 'Server' AND match(SpanName, '^[A-Z]+ /[^ ?]*$'), "
    "extract(SpanName, '(/.*)'), HttpRoute)"
)

COARSE_SECONDS: Final = 1200
"""Interval of the coarse rollups: 051_coarse.sql."""

FRAGMENTS: Final = {
    "coarse_minute": f"toDateTime(intDiv(toUnixTimestamp(Minute), {COARSE_SECONDS}) * {COARSE_SECONDS})",
    # A message of otlp.proto as the engine decodes it.
    "attributes": _ATTRIBUTES,
    "exemplars": _EXEMPLARS,
    "number_point": (
        "Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, as_double Float64, "
        f"exemplars {_EXEMPLARS}, as_int Int64, attributes {_ATTRIBUTES}, flags UInt32)"
    ),
    # The same with a value that may be absent.
    "optional_number_point": (
        "Tuple(start_time_unix_nano UInt64, time_unix_nano UInt64, as_double Nullable(Float64), "
        f"exemplars {_EXEMPLARS}, as_int Nullable(Int64), attributes {_ATTRIBUTES}, flags UInt32)"
    ),
    # Text in the exporter's format: strings unchanged, bytes in hexadecimal. Lists and maps arrive as JSON
    # text. Null is an absent value, as opposed to 0 or false.
    "text_of_value": (
        "(v -> multiIf(v.string_value != '', v.string_value, v.int_value IS NOT NULL, "
        "toString(assumeNotNull(v.int_value)), v.bool_value IS NOT NULL, if(assumeNotNull(v.bool_value), 'true', "
        "'false'), v.double_value IS NOT NULL, toString(assumeNotNull(v.double_value)), hex(v.bytes_value)))"
    ),
    # The same with numbers as they were sent. The engine in chdb-core-lite 26.5.0 omits the zero in exponents
    # of 100 to 109, 200 to 209 and 300 to 308 (1e100 becomes 1e10), and only there, so it is inserted; the
    # text of an engine that writes three digits is not changed.
    "text_of_double": (
        "(x -> if(abs(x) >= 1e100 OR (abs(x) < 1e-99 AND x != 0), "
        "replaceRegexpOne(toString(x), 'e(-?)([1-3])([0-9])$', 'e\\\\1\\\\20\\\\3'), toString(x)))"
    ),
    "text_of_any_value": (
        "(v -> multiIf(v.string_value != '', v.string_value, v.int_value IS NOT NULL, "
        "toString(assumeNotNull(v.int_value)), v.bool_value IS NOT NULL, if(assumeNotNull(v.bool_value), 'true', "
        "'false'), v.double_value IS NOT NULL, text_of_double(assumeNotNull(v.double_value)), hex(v.bytes_value)))"
    ),
    # Times are signed 64-bit ns; a later time becomes the latest possible one, in the year 2262.
    "time_of_ns": "(ns -> fromUnixTimestamp64Nano(toInt64(least(ns, 9223372036854775807))))",
    # Attribute names of OpenTelemetry's stable HTTP conventions, and the older ones.
    "http_method": (
        "if(SpanAttributes['http.request.method'] != '', SpanAttributes['http.request.method'], "
        "SpanAttributes['http.method'])"
    ),
    "http_status": _HTTP_STATUS,
    "http_class": f"toUInt8(least(5, intDiv({_HTTP_STATUS}, 100)))",
    # The route of a request; without one, the route in the span's name (`GET /cart/{id}`). In a list, the
    # path if both are missing.
    "http_route": _HTTP_ROUTE,
    "http_route_or_path": (
        f"multiIf(({_HTTP_ROUTE}) AS named != '' OR SpanKind != 'Server', named, "
        "SpanAttributes['url.path'] != '', SpanAttributes['url.path'], "
        "SpanAttributes['http.target'] != '', cutQueryString(SpanAttributes['http.target']), "
        "path(if(SpanAttributes['url.full'] != '', SpanAttributes['url.full'], SpanAttributes['http.url'])))"
    ),
    # Routes start with a slash, whether the framework writes `cart/` (Django), `^cart/$` or `/cart/`.
    "http_route_of": (
        "(route -> if(match(route, '^[^/*]'), concat('/', replaceRegexpOne(route, '^\\\\^/?', '')), route))"
    ),
    # The columns that all of the exporter's metric tables start with.
    "metric_identity": """ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ResourceSchemaUrl String CODEC(ZSTD(1)),
    ScopeName String CODEC(ZSTD(1)),
    ScopeVersion String CODEC(ZSTD(1)),
    ScopeAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    ScopeDroppedAttrCount UInt32 CODEC(ZSTD(1)),
    ScopeSchemaUrl String CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    MetricName LowCardinality(String) CODEC(ZSTD(1)),
    MetricDescription String CODEC(ZSTD(1)),
    MetricUnit String CODEC(ZSTD(1)),
    Attributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    StartTimeUnix DateTime64(9) CODEC(Delta, ZSTD(1)),
    TimeUnix DateTime64(9) CODEC(Delta, ZSTD(1))""",
    "metric_identity_names": (
        "ResourceAttributes, ResourceSchemaUrl, ScopeName, ScopeVersion, ScopeAttributes, ScopeDroppedAttrCount, "
        "ScopeSchemaUrl, ServiceName, MetricName, MetricDescription, MetricUnit, Attributes, StartTimeUnix, "
        "TimeUnix"
    ),
    "exemplar_names": (
        "`Exemplars.FilteredAttributes`, `Exemplars.TimeUnix`, `Exemplars.Value`, `Exemplars.SpanId`, "
        "`Exemplars.TraceId`"
    ),
    "exemplar_columns": (
        "FilteredAttributes Map(LowCardinality(String), String), TimeUnix DateTime64(9), Value Float64, "
        "SpanId String, TraceId String"
    ),
    # See 011_tallies.sql. A value that is not finite, negative or above 30 years is not a valid duration. A
    # bucket above 2^1000 s or below 2^-1000 s is a sender's mistake, and counts as the last valid one.
    "tally_histogram": "Map(Int32, UInt64)",
    "tally_number": "(x -> toUInt64(round(greatest(0, least(ifNotFinite(x, 0), 1e18)))))",
    "tally_buckets": (
        "((offset, scale, counts) -> mapFromArrays(arrayMap(position -> toInt32(greatest(-16e3, least(16e3, "
        "floor((toInt64(offset) + position - 0.5) * exp2(4 - scale))))), arrayEnumerate(counts)), counts))"
    ),
    "tally_release": (
        "ResourceAttributes['service.version'] AS ServiceVersion, "
        "if(ResourceAttributes['deployment.environment.name'] != '', "
        "ResourceAttributes['deployment.environment.name'], ResourceAttributes['deployment.environment']) "
        "AS Environment"
    ),
    "tally_points": "ScopeName = 'asgiscope' AND AggregationTemporality = 1",
}
