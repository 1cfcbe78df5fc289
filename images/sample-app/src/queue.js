import { Queue } from 'bullmq';
import { cacheOptions } from './cache.js';
import { Unavailable, within } from './health.js';
import { seldom } from './log.js';
import { askedGauge } from './metrics.js';
import { SpanKind, carried, within as spanned } from './traces.js';

export const QUEUE = 'jobs';
const ANSWER_MILLISECONDS = 2000;

/** A queue's server must not evict (`noeviction`), so what is done is taken away by count and by age. */
const JOB_OPTIONS = {
  attempts: 3,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnComplete: { age: 3600, count: 1000 },
  removeOnFail: { age: 24 * 3600, count: 1000 },
};

/**
 * The side of the queue that adds and looks; it waits for nothing longer than a request may.
 *
 * @param {import('./config.js').CacheConfig} config
 * @param {import('./log.js').Log} log
 */
export function openQueue(config, log) {
  const queue = new Queue(QUEUE, {
    connection: { ...cacheOptions(config), enableOfflineQueue: false, maxRetriesPerRequest: 1 },
    defaultJobOptions: JOB_OPTIONS,
  });
  queue.on('error', seldom(log, 'the queue does not answer'));
  /** @template T @param {Promise<T>} answer */
  const asked = async (answer) => {
    try {
      return await within(ANSWER_MILLISECONDS, answer);
    } catch (cause) {
      throw new Unavailable('the queue does not answer', { cause });
    }
  };
  return {
    queue,
    /** @param {{ user: string, text: string, ms: number, fail: boolean }} data */
    add: (data) =>
      // Who does it goes on with the same trace.
      spanned('queue add', { kind: SpanKind.PRODUCER }, () => asked(queue.add('digest', { ...data, trace: carried() }))),
    /** @param {string} id */
    async find(id) {
      // The state first: a job that is completed by now has its result.
      const state = await asked(queue.getJobState(id));
      return { state, job: await asked(queue.getJob(id)) };
    },
    /** Whether it could be: a worker keeps what it has in hand. @param {string} id */
    remove: async (id) => (await asked(queue.remove(id))) === 1,
    close: () => queue.close(),
  };
}

/**
 * @param {import('prom-client').Registry} registry
 * @param {Queue} queue
 */
export function queueMetrics(registry, queue) {
  askedGauge(registry, { name: 'queue_jobs', help: 'Jobs by state.', labelNames: ['state'] }, async (gauge) => {
    const counts = await within(ANSWER_MILLISECONDS, queue.getJobCounts('waiting', 'active', 'failed', 'delayed'));
    for (const [state, count] of Object.entries(counts)) gauge.set({ state }, count);
  });
  askedGauge(
    registry,
    { name: 'queue_oldest_waiting_seconds', help: 'How long the job that is next has waited; 0 without one.' },
    async (gauge) => {
      const [oldest] = await within(ANSWER_MILLISECONDS, queue.getJobs(['waiting'], 0, 0, true));
      gauge.set(oldest ? Math.max(0, (Date.now() - oldest.timestamp) / 1000) : 0);
    },
  );
}
