import pg from 'pg';
import { Unavailable } from './health.js';
import { askedGauge } from './metrics.js';
import { SpanKind, within } from './traces.js';

/** SQLSTATE classes in which the statement is at fault, not the server. */
const OUR_FAULT = /^(21|22|23|42)...$/;

/**
 * @param {import('./config.js').DatabaseConfig} config
 * @returns {import('pg').ClientConfig}
 */
export function connection({ host, port, database, user, password, ca }) {
  return {
    host,
    port,
    database,
    user,
    password: () => password.value,
    // With a CA both the chain and the host's name are verified.
    ssl: ca ? { ca, rejectUnauthorized: true } : false,
    connectionTimeoutMillis: 2000,
    application_name: 'sample-app',
  };
}

/**
 * A pool that is safe behind transaction pooling: no SET, no LISTEN, no advisory locks, and no parameter at
 * the start of a session that PgBouncer would refuse. Named prepared statements need PgBouncer 1.21 or newer.
 *
 * @param {import('./config.js').DatabaseConfig} config
 * @param {import('./log.js').Log} log
 * @param {import('prom-client').Registry} registry
 */
export function openDatabase(config, log, registry) {
  const pool = new pg.Pool({
    ...connection(config),
    max: config.poolMax,
    query_timeout: 5000,
    keepAlive: true,
    // A pooler that rolls waits for its clients to leave: connections that are renewed soon do so by themselves.
    maxLifetimeSeconds: 60,
  });
  pool.on('error', (err) => log.warn({ err }, 'an idle database connection was lost'));
  askedGauge(
    registry,
    {
      name: 'db_pool_connections',
      help: 'Database connections of this process; waiting: requests for one.',
      labelNames: ['state'],
    },
    (gauge) => {
      gauge.set({ state: 'active' }, pool.totalCount - pool.idleCount);
      gauge.set({ state: 'idle' }, pool.idleCount);
      gauge.set({ state: 'waiting' }, pool.waitingCount);
    },
  );
  return {
    /**
     * Runs one prepared statement.
     *
     * @param {string} name
     * @param {string} text
     * @param {unknown[]} values
     * @returns {Promise<any[]>}
     */
    async query(name, text, values) {
      try {
        // The statement with its placeholders, and never the values.
        const attributes = { 'db.system.name': 'postgresql', 'db.operation.name': name, 'db.query.text': text };
        const asked = () => pool.query({ name, text, values });
        return (await within(`db ${name}`, { kind: SpanKind.CLIENT, attributes }, asked)).rows;
      } catch (error) {
        const { code } = /** @type {{ code?: string }} */ (error);
        if (code && OUR_FAULT.test(code)) throw error;
        throw new Unavailable('the database does not answer', { cause: error });
      }
    },
    check: () => pool.query('SELECT 1'),
    close: () => pool.end(),
  };
}

/** @typedef {ReturnType<typeof openDatabase>} Database */
