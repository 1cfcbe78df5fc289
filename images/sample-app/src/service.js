import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import Fastify from 'fastify';
import { checkMemory, health } from './health.js';
import { createMetrics, httpMetrics, serveMetrics } from './metrics.js';
import { httpTraces } from './traces.js';

const REQUEST_ID = /^[\w.-]{8,64}$/;
/** Longer than an entrance keeps an idle connection, so that it is the entrance which closes it. */
const KEEP_ALIVE_MILLISECONDS = 75_000;

/** @typedef {{ config: import('./config.js').Config, log: import('./log.js').Log, lifecycle: import('./lifecycle.js').Lifecycle, errors: import('./errors.js').Errors }} Context */

/**
 * What every serving role has: health, version, metrics, request ids, errors, and a graceful end.
 *
 * @param {Context} context
 */
export function createService({ config, log, lifecycle, errors }) {
  const registry = createMetrics(config);
  /** @type {Record<string, () => Promise<unknown>>} */
  const checks = { memory: checkMemory };
  const app = Fastify({
    loggerInstance: log,
    trustProxy: config.trustedProxies.length > 0 ? config.trustedProxies : false,
    bodyLimit: config.bodyLimit,
    keepAliveTimeout: KEEP_ALIVE_MILLISECONDS,
    requestTimeout: 60_000,
    // A request that arrives on an open connection while we stop is answered like any other.
    return503OnClosing: false,
    forceCloseConnections: 'idle',
    genReqId: (request) => {
      const given = request.headers['x-request-id'];
      return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID();
    },
  });
  httpTraces(app);
  httpMetrics(app, registry);
  app.addHook('onSend', async (request, reply) => {
    reply.header('x-request-id', request.id);
    reply.header('x-content-type-options', 'nosniff');
    if (lifecycle.draining) reply.header('connection', 'close');
  });
  app.setErrorHandler((/** @type {import('fastify').FastifyError} */ error, request, reply) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) request.log.error({ err: error }, 'a request failed');
    // What is not there for a while is the alerts' matter: an error report for each request would tell no more.
    if (status >= 500 && status !== 503) {
      errors.report(error, { tags: { method: request.method, route: request.routeOptions.url, request: request.id } });
    }
    const message = status < 500 ? error.message : status === 503 ? 'unavailable' : 'internal error';
    return reply.code(status).send({ error: message, requestId: request.id });
  });
  app.setNotFoundHandler((request, reply) => reply.code(404).send({ error: 'not found', requestId: request.id }));

  app.get('/health', { logLevel: 'warn' }, async (_, reply) => {
    const result = await health(checks, log);
    const status = lifecycle.draining ? 'draining' : result.status;
    return reply
      .code(status === 'up' ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ ...result, status });
  });
  app.get('/version', { logLevel: 'warn' }, async (_, reply) => {
    const { version, commit, role } = config;
    return reply.header('cache-control', 'no-store').send({ version, commit, role });
  });

  return {
    app,
    registry,
    checks,
    /** Listens; the steps of the stop that are added before this run while it still does. */
    async start() {
      const metricsPort = await serveMetrics(registry, config.metricsPort, config.host);
      await app.listen({ port: config.port, host: config.host });
      const { port } = /** @type {import('node:net').AddressInfo} */ (app.server.address());
      log.info({ port, metricsPort, commit: config.commit }, 'listening');
      lifecycle.atStop('linger', (left) => sleep(Math.min(config.lingerSeconds, left) * 1000));
      lifecycle.atStop('requests', () => app.close());
    },
  };
}
