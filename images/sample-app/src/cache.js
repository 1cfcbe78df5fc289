import { Redis } from 'ioredis';
import { seldom } from './log.js';

const LONGEST_RETRY_MILLISECONDS = 2000;

/**
 * Options of every connection to the cache. Each attempt to connect reads the password again.
 *
 * @param {import('./config.js').CacheConfig} config
 * @returns {import('ioredis').RedisOptions & { retryStrategy: (attempt: number) => number }}
 */
export function cacheOptions({ host, port, username, password, ca }) {
  return {
    host,
    port,
    username,
    password: password?.value,
    tls: ca ? { ca, servername: host } : undefined,
    connectTimeout: 2000,
    // ioredis calls it as a method of the options that it connects with, its duplicates' included.
    retryStrategy(attempt) {
      const options = /** @type {import('ioredis').RedisOptions} */ (/** @type {unknown} */ (this));
      options.password = password?.value;
      return Math.min(attempt * 100, LONGEST_RETRY_MILLISECONDS);
    },
  };
}

/**
 * A connection whose commands fail at once while the cache is away, instead of piling up in memory.
 *
 * @param {import('./config.js').CacheConfig} config
 * @param {import('./log.js').Log} log
 */
export function openCache(config, log) {
  const cache = new Redis({ ...cacheOptions(config), enableOfflineQueue: false, maxRetriesPerRequest: 1 });
  cache.on('error', seldom(log, 'the cache does not answer'));
  return cache;
}
