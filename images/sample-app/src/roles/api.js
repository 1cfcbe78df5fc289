import { setTimeout as sleep } from 'node:timers/promises';
import cors from '@fastify/cors';
import { TOKEN_SECONDS, hashPassword, issueToken, userOf, verifyPassword } from '../auth.js';
import { openCache } from '../cache.js';
import { openDatabase } from '../database.js';
import { askedGauge, businessMetrics } from '../metrics.js';
import { openQueue } from '../queue.js';
import { createService } from '../service.js';

const ACTIVE_USERS = 'active-users';
const ACTIVE_MILLISECONDS = 5 * 60_000;
const SLOWEST_MILLISECONDS = 30_000;
const UNIQUE_VIOLATION = '23505';

const text = { type: 'string', minLength: 1, maxLength: 200 };
/** @param {Record<string, object>} properties @param {string[]} [required] */
const object = (properties, required = Object.keys(properties)) => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
});
const credentials = object({
  email: { type: 'string', pattern: '^[^@\\s]+@[^@\\s]+$', maxLength: 254 },
  password: { type: 'string', minLength: 12, maxLength: 200 },
});
const milliseconds = { type: 'integer', minimum: 0, maximum: SLOWEST_MILLISECONDS };

/** @typedef {import('../service.js').Context & { app: import('fastify').FastifyInstance<any, any, any, any>, database: import('../database.js').Database, jwt: import('../config.js').JwtConfig, business: ReturnType<typeof businessMetrics> }} ApiContext */
/** @typedef {import('fastify').FastifyRequest & { user?: string }} Authenticated */

/** @param {import('../service.js').Context} context */
export async function start(context) {
  const { config, log, lifecycle } = context;
  const service = createService(context);
  const { app, registry, checks } = service;
  const jwt = /** @type {import('../config.js').JwtConfig} */ (config.jwt);
  const cacheConfig = /** @type {import('../config.js').CacheConfig} */ (config.cache);
  const database = openDatabase(/** @type {import('../config.js').DatabaseConfig} */ (config.database), log, registry);
  const cache = openCache(cacheConfig, log);
  const queue = openQueue(cacheConfig, log);
  checks.database = database.check;
  checks.cache = () => cache.ping();
  activeUsersMetric(registry, cache);

  await app.register(cors, { origin: config.corsOrigins, methods: ['GET', 'POST', 'DELETE'], maxAge: 600 });
  const api = { ...context, app, database, jwt, business: businessMetrics(registry) };
  probes(api);
  accounts(api);
  await app.register(async (app) => {
    app.addHook('onRequest', async (/** @type {Authenticated} */ request, reply) => {
      const [scheme, token] = (request.headers.authorization ?? '').split(' ');
      request.user = scheme === 'Bearer' && token ? await userOf(jwt, token) : undefined;
      if (!request.user) return reply.code(401).send({ error: 'not signed in', requestId: request.id });
      // Counted by the way: a cache that is away must not fail the request.
      cache.zadd(ACTIVE_USERS, Date.now(), request.user).catch(() => {});
    });
    owned({ ...api, app });
    jobs({ ...api, app }, queue);
  });

  await service.start();
  lifecycle.atStop('queue', queue.close);
  lifecycle.atStop('cache', () => cache.disconnect());
  lifecycle.atStop('database', database.close);
}

/** What tests of the entrance ask for. @param {ApiContext} api */
function probes({ app }) {
  app.post('/echo', async (request) => ({
    body: request.body ?? null,
    client: request.ip,
    protocol: request.protocol,
    requestId: request.id,
  }));
  app.get('/slow', { schema: { querystring: object({ ms: milliseconds }) } }, async (request) => {
    const { ms } = /** @type {{ ms: number }} */ (request.query);
    await sleep(ms);
    return { ms };
  });
}

/** @param {ApiContext} api */
function accounts({ app, database, jwt, business }) {
  app.post('/auth/signup', { schema: { body: credentials } }, async (request, reply) => {
    const { email, password } = /** @type {{ email: string, password: string }} */ (request.body);
    const digest = await hashPassword(password);
    try {
      const sql = 'INSERT INTO users (email, password_hash) VALUES (lower($1), $2) RETURNING id';
      const [{ id }] = await database.query('signup', sql, [email, digest]);
      business.signups.inc();
      return reply.code(201).send({ id, token: await issueToken(jwt, id), expiresIn: TOKEN_SECONDS });
    } catch (error) {
      if (/** @type {{ code?: string }} */ (error).code !== UNIQUE_VIOLATION) throw error;
      return reply.code(409).send({ error: 'this address has an account', requestId: request.id });
    }
  });
  app.post('/auth/login', { schema: { body: credentials } }, async (request, reply) => {
    const { email, password } = /** @type {{ email: string, password: string }} */ (request.body);
    const [user] = await database.query('login', 'SELECT id, password_hash FROM users WHERE email = lower($1)', [
      email,
    ]);
    if (!(await verifyPassword(password, user?.password_hash))) {
      return reply.code(401).send({ error: 'wrong address or password', requestId: request.id });
    }
    return { token: await issueToken(jwt, user.id), expiresIn: TOKEN_SECONDS };
  });
}

/** What belongs to the user who asks. @param {ApiContext} api */
function owned({ app, database, business }) {
  app.get('/items', async (/** @type {Authenticated} */ request) => ({
    items: await database.query(
      'items',
      'SELECT id, name, created_at FROM items WHERE owner = $1 ORDER BY id DESC LIMIT 100',
      [request.user],
    ),
  }));
  app.post(
    '/items',
    { schema: { body: object({ name: text }) } },
    async (/** @type {Authenticated} */ request, reply) => {
      const { name } = /** @type {{ name: string }} */ (request.body);
      const sql =
        'INSERT INTO items (owner, name) SELECT id, $2 FROM users WHERE id = $1 RETURNING id, name, created_at';
      const [item] = await database.query('add-item', sql, [request.user, name]);
      if (!item) return reply.code(401).send({ error: 'no such account', requestId: request.id });
      return reply.code(201).send(item);
    },
  );
  const payment = object({ cents: { type: 'integer', minimum: 1, maximum: 1e8 }, currency: { enum: ['EUR', 'USD'] } });
  app.post('/payments/test', { schema: { body: payment } }, async (/** @type {Authenticated} */ request, reply) => {
    const { cents, currency } = /** @type {{ cents: number, currency: string }} */ (request.body);
    const sql = 'INSERT INTO payments (payer, cents, currency) SELECT id, $2, $3 FROM users WHERE id = $1 RETURNING id';
    const [paid] = await database.query('pay', sql, [request.user, cents, currency]);
    if (!paid) return reply.code(401).send({ error: 'no such account', requestId: request.id });
    business.payments.inc({ currency });
    business.paymentsAmount.inc({ currency }, cents);
    return reply.code(201).send(paid);
  });
  app.delete('/account', async (/** @type {Authenticated} */ request, reply) => {
    await database.query('leave', 'DELETE FROM users WHERE id = $1', [request.user]);
    return reply.code(204).send();
  });
}

/** @param {ApiContext} api @param {ReturnType<typeof openQueue>} queue */
function jobs({ app }, queue) {
  const wanted = object({ text, ms: milliseconds, fail: { type: 'boolean' } }, ['text']);
  app.post('/jobs', { schema: { body: wanted } }, async (/** @type {Authenticated} */ request, reply) => {
    const { text, ms = 0, fail = false } = /** @type {{ text: string, ms?: number, fail?: boolean }} */ (request.body);
    const job = await queue.add({ user: String(request.user), text, ms, fail });
    return reply.code(202).send({ id: job.id });
  });
  /** The user's own. @param {Authenticated} request */
  const found = async ({ params, user }) => {
    const { job, state } = await queue.find(/** @type {{ id: string }} */ (params).id);
    return job && job.data.user === user ? { job, state } : undefined;
  };
  app.get('/jobs/:id', async (/** @type {Authenticated} */ request, reply) => {
    const own = await found(request);
    if (!own) return reply.code(404).send({ error: 'no such job', requestId: request.id });
    return { id: own.job.id, state: own.state, result: own.job.returnvalue ?? null };
  });
  app.delete('/jobs/:id', async (/** @type {Authenticated} */ request, reply) => {
    const own = await found(request);
    if (!own) return reply.code(404).send({ error: 'no such job', requestId: request.id });
    if (await queue.remove(String(own.job.id))) return reply.code(204).send();
    return reply.code(409).send({ error: 'a worker has this job', requestId: request.id });
  });
}

/** @param {import('prom-client').Registry} registry @param {import('ioredis').Redis} cache */
function activeUsersMetric(registry, cache) {
  const help = 'Users of the whole platform who asked for something in the last 5 minutes.';
  askedGauge(registry, { name: 'active_users', help }, async (gauge) => {
    const since = Date.now() - ACTIVE_MILLISECONDS;
    await cache.zremrangebyscore(ACTIVE_USERS, 0, since);
    gauge.set(await cache.zcard(ACTIVE_USERS));
  });
}
