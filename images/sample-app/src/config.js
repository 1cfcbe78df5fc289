import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { SecretFile } from './secrets.js';

/** @typedef {'api' | 'web' | 'realtime' | 'worker' | 'migrate'} Role */
/** @typedef {{ host: string, port: number, database: string, user: string, password: SecretFile, ca?: string, poolMax: number }} DatabaseConfig */
/** @typedef {{ host: string, port: number, username?: string, password?: SecretFile, ca?: string }} CacheConfig */
/** @typedef {{ secret: SecretFile, previous?: SecretFile, next?: SecretFile }} JwtConfig */
/** @typedef {ReturnType<typeof loadConfig>} Config */

/** What each role needs beside the common settings. @type {Record<Role, string[]>} */
const NEEDS = {
  api: ['database', 'cache', 'jwt'],
  web: [],
  realtime: ['cache', 'jwt'],
  worker: ['database', 'cache'],
  migrate: ['database'],
};

export const JWT_SECRET_MIN_LENGTH = 32;

export class ConfigError extends Error {
  /** @param {string[]} faults */
  constructor(faults) {
    super(`the configuration has ${faults.length} fault(s): ${faults.join('; ')}`);
    this.faults = faults;
  }
}

/** Reads variables and collects every fault instead of stopping at the first. */
class Reader {
  /** @type {string[]} */
  faults = [];

  /** @param {Record<string, string | undefined>} env */
  constructor(env) {
    this.env = env;
  }

  /** @param {string} name @param {string} [fallback] */
  text(name, fallback) {
    const value = this.env[name] || fallback;
    if (value === undefined) this.faults.push(`${name} is missing`);
    return value ?? '';
  }

  /** @param {string} name @param {number} fallback @param {number} min @param {number} max */
  integer(name, fallback, min, max) {
    const text = this.env[name] || String(fallback);
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    this.faults.push(`${name} is ${JSON.stringify(text)}, not a whole number from ${min} to ${max}`);
    return fallback;
  }

  /** @param {string} name @param {(item: string) => boolean} valid @param {string} meaning */
  list(name, valid, meaning) {
    const items = (this.env[name] ?? '')
      .split(',')
      .map((item) => item.trim())
      .filter(Boolean);
    for (const item of items) {
      if (!valid(item)) this.faults.push(`${name} holds ${JSON.stringify(item)}, not ${meaning}`);
    }
    return items;
  }

  /** @param {string} name @param {{ optional?: boolean, minLength?: number }} [options] */
  secret(name, { optional = false, minLength = 1 } = {}) {
    const path = this.env[name];
    if (!path) {
      if (!optional) this.faults.push(`${name} is missing`);
      return undefined;
    }
    const secret = this.#file(name, path, () => new SecretFile(path));
    if (secret && secret.value.length < minLength) {
      this.faults.push(`${name}: ${path} holds fewer than ${minLength} characters`);
    }
    return secret;
  }

  /** @param {string} name */
  certificate(name) {
    const path = this.env[name];
    return path ? this.#file(name, path, () => readFileSync(path, 'utf8')) : undefined;
  }

  /** @template T @param {string} name @param {string} path @param {() => T} read */
  #file(name, path, read) {
    try {
      return read();
    } catch (error) {
      const reason = /** @type {NodeJS.ErrnoException} */ (error);
      this.faults.push(`${name}: ${path} can't be read: ${reason.code ?? reason.message}`);
      return undefined;
    }
  }
}

/**
 * The whole configuration of a role.
 *
 * @param {Role} role
 * @param {Record<string, string | undefined>} env
 * @throws {ConfigError} with every fault.
 */
export function loadConfig(role, env) {
  const read = new Reader(env);
  /** @param {string} need */
  const needs = (need) => NEEDS[role].includes(need);
  const config = {
    role,
    version: env.VERSION || 'dev',
    commit: env.COMMIT || 'unknown',
    host: read.text('HOST', '0.0.0.0'),
    port: read.integer('PORT', 3000, 0, 65535),
    metricsPort: read.integer('METRICS_PORT', 9464, 0, 65535),
    drainSeconds: read.integer('DRAIN_SECONDS', 30, 1, 600),
    lingerSeconds: read.integer('LINGER_SECONDS', 3, 0, 60),
    connectSeconds: read.integer('CONNECT_SECONDS', 60, 0, 600),
    bodyLimit: read.integer('BODY_LIMIT_BYTES', 1_048_576, 1024, 104_857_600),
    concurrency: read.integer('WORKER_CONCURRENCY', 4, 1, 100),
    trustedProxies: read.list('TRUSTED_PROXIES', isNetwork, 'an address or a network'),
    corsOrigins: read.list('CORS_ORIGINS', isOrigin, 'an origin like https://www.example.com'),
    connectTo: read.list('CONNECT_ORIGINS', isOrigin, 'an origin like https://api.example.com'),
    database: needs('database') ? databaseConfig(read) : undefined,
    cache: needs('cache') ? cacheConfig(read) : undefined,
    jwt: needs('jwt') ? jwtConfig(read) : undefined,
    errors: {
      dsn: read.secret('SENTRY_DSN_FILE', { optional: true }),
      environment: env.SENTRY_ENVIRONMENT || 'production',
      release: env.SENTRY_RELEASE || env.VERSION || 'dev',
    },
  };
  if (config.lingerSeconds >= config.drainSeconds) {
    read.faults.push(`LINGER_SECONDS (${config.lingerSeconds}) is not below DRAIN_SECONDS (${config.drainSeconds})`);
  }
  if (read.faults.length > 0) throw new ConfigError(read.faults);
  return Object.freeze(config);
}

/** @param {Reader} read */
function databaseConfig(read) {
  return /** @type {DatabaseConfig} */ ({
    host: read.text('PGHOST'),
    port: read.integer('PGPORT', 5432, 1, 65535),
    database: read.text('PGDATABASE'),
    user: read.text('PGUSER'),
    password: read.secret('PGPASSWORD_FILE'),
    ca: read.certificate('PGSSLROOTCERT'),
    poolMax: read.integer('PG_POOL_MAX', 10, 1, 100),
  });
}

/** @param {Reader} read */
function cacheConfig(read) {
  return /** @type {CacheConfig} */ ({
    host: read.text('REDIS_HOST'),
    port: read.integer('REDIS_PORT', 6379, 1, 65535),
    username: read.env.REDIS_USERNAME || undefined,
    password: read.secret('REDIS_PASSWORD_FILE', { optional: true }),
    ca: read.certificate('REDIS_CA_FILE'),
  });
}

/** @param {Reader} read */
function jwtConfig(read) {
  return /** @type {JwtConfig} */ ({
    secret: read.secret('JWT_SECRET_FILE', { minLength: JWT_SECRET_MIN_LENGTH }),
    previous: read.secret('JWT_SECRET_PREVIOUS_FILE', { optional: true, minLength: JWT_SECRET_MIN_LENGTH }),
    next: read.secret('JWT_SECRET_NEXT_FILE', { optional: true, minLength: JWT_SECRET_MIN_LENGTH }),
  });
}

/** @param {string} text */
function isNetwork(text) {
  const [address, bits, ...rest] = text.split('/');
  const family = isIP(address);
  if (family === 0 || rest.length > 0) return false;
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128));
}

/** @param {string} text */
function isOrigin(text) {
  try {
    const { protocol, origin } = new URL(text);
    const plain = /^wss?:$/.test(protocol) ? text.replace(/\/$/, '') : origin;
    return /^(https?|wss?):$/.test(protocol) && plain === text;
  } catch {
    return false;
  }
}
