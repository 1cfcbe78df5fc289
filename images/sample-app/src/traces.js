import { setTimeout as sleep } from 'node:timers/promises';
import { SpanKind, SpanStatusCode, TraceFlags, context, propagation, trace } from '@opentelemetry/api';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-proto';
import { detectResources, envDetector } from '@opentelemetry/resources';
import { BatchSpanProcessor, NodeTracerProvider } from '@opentelemetry/sdk-trace-node';

const tracer = trace.getTracer('sample-app');
const LAST_MILLISECONDS = 2000;
/** Each request's span. @type {WeakMap<object, Span>} */
const spans = new WeakMap();
/** What the kubelet and Prometheus ask all day. */
const SILENT = new Set(['/health', '/version']);

/** @typedef {import('@opentelemetry/api').Attributes} Attributes */
/** @typedef {import('@opentelemetry/api').Span} Span */

/**
 * Sends spans to where `OTEL_EXPORTER_OTLP_ENDPOINT` says, by the SDK's own variables: which share of them, with
 * which certificate, under which name. Without it nothing is measured.
 *
 * @param {Record<string, string | undefined>} env
 * @param {import('./log.js').Log} log
 * @returns {{ end: () => Promise<unknown> }} what sends the rest, and waits no longer than a moment for who takes it.
 */
export function startTracing(env, log) {
  if (!env.OTEL_EXPORTER_OTLP_ENDPOINT) return { end: async () => {} };
  const provider = new NodeTracerProvider({
    resource: detectResources({ detectors: [envDetector] }),
    spanProcessors: [new BatchSpanProcessor(new OTLPTraceExporter())],
  });
  provider.register();
  const rest = () => provider.shutdown().catch((err) => log.warn({ err }, 'the last spans were not sent'));
  return { end: () => Promise.race([rest(), sleep(LAST_MILLISECONDS, undefined, { ref: false })]) };
}

/**
 * A span for each request of a fastify instance, and its trace in the request's log.
 *
 * A request begins a trace of its own: everybody's reach us, and what a stranger says of traces decides nothing.
 *
 * @param {import('fastify').FastifyInstance<any, any, any, any>} app
 */
export function httpTraces(app) {
  app.addHook('onRequest', (request, reply, done) => {
    const route = request.routeOptions.url ?? 'unmatched';
    if (SILENT.has(route)) return done();
    const attributes = { 'http.request.method': request.method, 'http.route': route, 'request.id': request.id };
    const span = tracer.startSpan(`${request.method} ${route}`, { kind: SpanKind.SERVER, attributes, root: true });
    spans.set(request, span);
    const about = traced(span);
    if (about.trace_id) request.log = reply.log = request.log.child(about);
    context.with(trace.setSpan(context.active(), span), done);
  });
  // A body that was waited for arrives in nobody's context.
  app.addHook('preHandler', (request, _, done) => {
    const span = spans.get(request);
    context.with(span ? trace.setSpan(context.active(), span) : context.active(), done);
  });
  app.addHook('onResponse', async (request, reply) => {
    const span = spans.get(request);
    span?.setAttribute('http.response.status_code', reply.statusCode);
    if (reply.statusCode >= 500) span?.setStatus({ code: SpanStatusCode.ERROR });
    span?.end();
  });
}

/**
 * Does something within a span of its own.
 *
 * @template T
 * @param {string} name
 * @param {{ kind?: SpanKind, attributes?: Attributes, from?: Record<string, string> }} about `from`: the trace of
 *   who asked for it, as `carried` told it.
 * @param {(span: Span) => Promise<T>} work
 * @returns {Promise<T>}
 */
export function within(name, { kind = SpanKind.INTERNAL, attributes, from = {} }, work) {
  const parent = propagation.extract(context.active(), from);
  return tracer.startActiveSpan(name, { kind, attributes }, parent, async (span) => {
    try {
      return await work(span);
    } catch (error) {
      span.recordException(/** @type {Error} */ (error));
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  });
}

/** The trace that goes on elsewhere, such as in a job. @returns {Record<string, string>} */
export function carried() {
  const carrier = {};
  propagation.inject(context.active(), carrier);
  return carrier;
}

/**
 * What a line of the log says of its trace: nothing of one that is not sent, to which no way would lead.
 *
 * @param {Span | undefined} span
 * @returns {{ trace_id?: string, span_id?: string }}
 */
export function traced(span) {
  const about = span?.spanContext();
  if (!about || !(about.traceFlags & TraceFlags.SAMPLED)) return {};
  return { trace_id: about.traceId, span_id: about.spanId };
}

export { SpanKind };
