// A Node service with OpenTelemetry's SDK and its HTTP instrumentation: two requests, one of which fails, an attribute
// of each kind that JSON cannot hold, and a gauge that is not a number. It ends when all is sent.
const { diag, DiagLogLevel, SpanKind, metrics, trace } = require("@opentelemetry/api");
const { NodeSDK, metrics: sdkMetrics } = require("@opentelemetry/sdk-node");
const { OTLPTraceExporter } = require("@opentelemetry/exporter-trace-otlp-http");
const { OTLPMetricExporter } = require("@opentelemetry/exporter-metrics-otlp-http");
const { HttpInstrumentation } = require("@opentelemetry/instrumentation-http");

const warnings = [];
const keep = (...words) => warnings.push(words.map(String).join(" "));
diag.setLogger({ error: keep, warn: keep, info() {}, debug() {}, verbose() {} }, DiagLogLevel.WARN);

const sdk = new NodeSDK({
  traceExporter: new OTLPTraceExporter(),
  metricReaders: [new sdkMetrics.PeriodicExportingMetricReader({ exporter: new OTLPMetricExporter() })],
  instrumentations: [new HttpInstrumentation()],
});
sdk.start();
const http = require("node:http");

const server = http.createServer((request, response) => {
  response.statusCode = request.url.startsWith("/fail") ? 500 : 200;
  response.end("done");
});

const ask = (port, path) =>
  new Promise((done) => http.get({ port, path }, (response) => response.resume().on("end", done)));

server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  await ask(port, "/cart?token=secret");
  await ask(port, "/fail");
  const span = trace.getTracer("a.library").startSpan("odd", { kind: SpanKind.INTERNAL });
  span.setAttributes({
    before: "kept",
    cut: "\u{1f4a5}".repeat(6), // cut by OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT in the middle of a character
    big: 1e21,
    huge: 1e100,
    safe: Number.MAX_SAFE_INTEGER,
    half: 0.5,
    list: ["a", "b"],
    nan: NaN,
    infinity: Infinity,
    after: true,
  });
  span.addEvent("late", {}, new Date());
  span.end();
  metrics.getMeter("m").createGauge("odd.gauge").record(NaN);
  await sdk.shutdown();
  server.close();
  server.closeAllConnections();
  console.log(JSON.stringify(warnings));
});
