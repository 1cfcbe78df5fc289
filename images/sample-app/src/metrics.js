import { createServer } from 'node:http';
import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';

const LATENCY_BUCKETS_SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2.5, 5, 10];

/** @param {{ role: string, version: string, commit: string }} about */
export function createMetrics({ role, version, commit }) {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  new Gauge({
    name: 'app_info',
    help: 'What runs here.',
    labelNames: ['role', 'version', 'commit'],
    registers: [registry],
  }).set({ role, version, commit }, 1);
  return registry;
}

/**
 * Counts and times every request of a fastify instance.
 *
 * @param {import('fastify').FastifyInstance<any, any, any, any>} app
 * @param {Registry} registry
 */
export function httpMetrics(app, registry) {
  const labelNames = ['method', 'route', 'status_code'];
  const registers = [registry];
  const total = new Counter({ name: 'http_requests_total', help: 'Requests answered.', labelNames, registers });
  const duration = new Histogram({
    name: 'http_request_duration_seconds',
    help: 'Time from the request to the end of its answer.',
    labelNames,
    registers,
    buckets: LATENCY_BUCKETS_SECONDS,
  });
  app.addHook('onResponse', async (request, reply) => {
    // The route's pattern: a path would make a series per identifier.
    const route = request.routeOptions.url ?? 'unmatched';
    const labels = { method: request.method, route, status_code: String(reply.statusCode) };
    total.inc(labels);
    duration.observe(labels, reply.elapsedTime / 1000);
  });
}

/**
 * A gauge that is asked at each scrape. One that can't answer is absent, and never fails the scrape.
 *
 * @param {Registry} registry
 * @param {{ name: string, help: string, labelNames?: string[] }} about
 * @param {(gauge: Gauge) => unknown} read
 */
export function askedGauge(registry, about, read) {
  new Gauge({
    ...about,
    registers: [registry],
    async collect() {
      try {
        await read(this);
      } catch {
        this.reset();
        if (!about.labelNames) this.set(NaN);
      }
    },
  });
}

/** @param {Registry} registry */
export function businessMetrics(registry) {
  const registers = [registry];
  return {
    signups: new Counter({ name: 'signups_total', help: 'Accounts made.', registers }),
    payments: new Counter({ name: 'payments_total', help: 'Payments taken.', labelNames: ['currency'], registers }),
    paymentsAmount: new Counter({
      name: 'payments_amount_cents_total',
      help: 'Money taken, in hundredths of the currency.',
      labelNames: ['currency'],
      registers,
    }),
  };
}

/**
 * Serves /metrics on a port of its own, so that no route of the entrance can lead to it. It answers until
 * the process ends.
 *
 * @param {Registry} registry
 * @param {number} port 0 for any that is free.
 * @param {string} host
 * @returns {Promise<number>} the port.
 */
export async function serveMetrics(registry, port, host) {
  const server = createServer(async (request, response) => {
    if (request.url !== '/metrics') return void response.writeHead(404).end();
    try {
      const body = await registry.metrics();
      response.writeHead(200, { 'content-type': registry.contentType }).end(body);
    } catch {
      response.writeHead(500).end();
    }
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => resolve(undefined));
  });
  return /** @type {import('node:net').AddressInfo} */ (server.address()).port;
}
