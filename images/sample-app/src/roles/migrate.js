import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { connection } from '../database.js';
import { seldom } from '../log.js';
import { planMigrations, readMigrations } from '../migrations.js';

const FOLDER = new URL('../../migrations/', import.meta.url).pathname;
/** Any number that nothing else of this database locks by. */
const LOCK = 7_205_161;
/** How long another run of the migrations is waited for. */
const LOCK_WAIT = '120s';
/** A statement that waits longer for a table would hold up everyone behind it. */
const TABLE_WAIT = '5s';
const RETRY_MILLISECONDS = 500;
/** What no waiting mends: who we are, which database, and certificates. */
const FINAL = /^(28|3D)\w{3}$|CERT|VERIFY/;

export const EXIT_FAILED = 1;
export const EXIT_REFUSED = 3;

/**
 * Applies what is new: one run at a time, each file in a transaction of its own.
 *
 * Connects to PostgreSQL itself, not through PgBouncer: the lock belongs to the session.
 *
 * @param {import('../service.js').Context} context
 * @returns {Promise<number>} 0 done; 1 failed, all before it is kept; 3 refused, nothing was done.
 */
export async function start({ config, log }) {
  let client;
  try {
    client = await connected(config, log);
    await client.query(`SET lock_timeout = '${LOCK_WAIT}'`);
    await client.query('SELECT pg_advisory_lock($1)', [LOCK]);
    await client.query(`SET lock_timeout = '${TABLE_WAIT}'`);
    return await migrate(client, log);
  } catch (err) {
    log.error({ err }, 'the migration failed');
    return EXIT_FAILED;
  } finally {
    await client?.end().catch(() => {});
  }
}

/**
 * A connection, once there is a database that takes one: it may be restarting, or starting for the first time.
 *
 * @param {import('../config.js').Config} config
 * @param {import('../log.js').Log} log
 */
async function connected({ database, connectSeconds }, log) {
  const end = Date.now() + connectSeconds * 1000;
  const waits = seldom(log, 'waiting for the database');
  for (;;) {
    const client = new pg.Client(connection(/** @type {import('../config.js').DatabaseConfig} */ (database)));
    client.on('error', (err) => log.error({ err }, 'the connection was lost'));
    try {
      await client.connect();
      return client;
    } catch (error) {
      const reason = /** @type {Error & { code?: string }} */ (error);
      await client.end().catch(() => {});
      if (FINAL.test(reason.code ?? '') || Date.now() + RETRY_MILLISECONDS >= end) throw error;
      waits(reason);
    }
    await sleep(RETRY_MILLISECONDS);
  }
}

/** @param {import('pg').Client} client @param {import('../log.js').Log} log */
async function migrate(client, log) {
  await client.query(`CREATE TABLE IF NOT EXISTS schema_migrations (
    name text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())`);
  const { rows } = await client.query('SELECT name, checksum FROM schema_migrations');
  const { pending, faults, unknown } = planMigrations(readMigrations(FOLDER), rows);
  if (faults.length > 0) {
    log.error({ faults }, `refused: ${faults.join('; ')}`);
    return EXIT_REFUSED;
  }
  if (unknown.length > 0) log.warn({ unknown }, 'the database is ahead of this release');
  for (const { name, sql, checksum } of pending) {
    try {
      await client.query('BEGIN');
      await client.query(sql);
      await client.query('INSERT INTO schema_migrations (name, checksum) VALUES ($1, $2)', [name, checksum]);
      await client.query('COMMIT');
    } catch (cause) {
      await client.query('ROLLBACK').catch(() => {});
      throw new Error(`${name} failed`, { cause });
    }
    log.info({ migration: name }, 'applied');
  }
  log.info({ applied: pending.length }, 'the schema is up to date');
  return 0;
}
