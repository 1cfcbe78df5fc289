import { getHeapStatistics } from 'node:v8';

/** A readiness probe gives up after 2 seconds; the answer must come before. */
const CHECK_MILLISECONDS = 1500;
/** Beyond this share of what it may use, a process gets no more requests. */
const MEMORY_SHARE = 0.95;

/**
 * Rejects when `promise` takes too long. What it waits for goes on.
 *
 * @template T
 * @param {number} milliseconds
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
export async function within(milliseconds, promise) {
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Unavailable(`no answer in ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await /** @type {Promise<T>} */ (Promise.race([promise, late]));
  } finally {
    clearTimeout(timer);
  }
}

/** Something that this process depends on doesn't answer: the request may be tried again. */
export class Unavailable extends Error {
  statusCode = 503;
}

/** @param {{ heapUsed: number, heapLimit: number, rss: number, limit: number }} use Bytes; a limit of 0 is none. */
export function enoughMemory({ heapUsed, heapLimit, rss, limit }) {
  return heapUsed < heapLimit * MEMORY_SHARE && (limit === 0 || rss < limit * MEMORY_SHARE);
}

export async function checkMemory() {
  const { heapUsed, rss } = process.memoryUsage();
  const limit = process.constrainedMemory?.() ?? 0;
  if (!enoughMemory({ heapUsed, heapLimit: getHeapStatistics().heap_size_limit, rss, limit })) {
    throw new Error('memory is nearly used up');
  }
}

/**
 * Asks every check at once.
 *
 * @param {Record<string, () => Promise<unknown>>} checks
 * @param {import('./log.js').Log} log
 */
export async function health(checks, log) {
  const entries = await Promise.all(
    Object.entries(checks).map(async ([name, check]) => {
      try {
        await within(CHECK_MILLISECONDS, check());
        return [name, { status: 'up' }];
      } catch (error) {
        log.warn({ check: name, reason: /** @type {Error} */ (error).message }, 'a health check failed');
        return [name, { status: 'down' }];
      }
    }),
  );
  const results = /** @type {Record<string, { status: 'up' | 'down' }>} */ (Object.fromEntries(entries));
  const up = Object.values(results).every(({ status }) => status === 'up');
  return { status: up ? 'up' : 'down', checks: results };
}
