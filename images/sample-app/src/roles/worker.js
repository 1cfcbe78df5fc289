import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'bullmq';
import { Counter } from 'prom-client';
import { cacheOptions, openCache } from '../cache.js';
import { openDatabase } from '../database.js';
import { seldom } from '../log.js';
import { QUEUE, openQueue, queueMetrics } from '../queue.js';
import { createService } from '../service.js';
import { SpanKind, traced, within } from '../traces.js';

/** @param {import('../service.js').Context} context */
export async function start(context) {
  const { config, log, lifecycle, errors } = context;
  const service = createService(context);
  const { registry, checks } = service;
  const cacheConfig = /** @type {import('../config.js').CacheConfig} */ (config.cache);
  const database = openDatabase(/** @type {import('../config.js').DatabaseConfig} */ (config.database), log, registry);
  const cache = openCache(cacheConfig, log);
  const queue = openQueue(cacheConfig, log);
  queueMetrics(registry, queue.queue);
  const finished = new Counter({
    name: 'jobs_finished_total',
    help: 'Attempts at jobs by this process.',
    labelNames: ['outcome'],
    registers: [registry],
  });

  /** @param {Job} job */
  const done = (job) =>
    within('job digest', { kind: SpanKind.CONSUMER, attributes: { job: job.id }, from: job.data.trace }, (span) => {
      const about = traced(span);
      if (about.trace_id) log.info({ job: job.id, ...about }, 'a job begins');
      return digest(database, job);
    });
  const worker = new Worker(QUEUE, done, {
    // A worker waits for its queue for as long as it takes.
    connection: { ...cacheOptions(cacheConfig), maxRetriesPerRequest: null },
    concurrency: config.concurrency,
  });
  worker.on('error', seldom(log, 'the worker has no queue'));
  worker.on('completed', (job) => {
    finished.inc({ outcome: 'completed' });
    log.info({ job: job.id }, 'a job is done');
  });
  worker.on('failed', (job, err) => {
    finished.inc({ outcome: 'failed' });
    log.warn({ job: job?.id, attempt: job?.attemptsMade, err }, 'a job failed');
    errors.report(err, { tags: { job: job?.id, attempt: String(job?.attemptsMade) } });
  });
  checks.database = database.check;
  checks.cache = () => cache.ping();

  // Takes no more jobs, and waits for those in hand. Without a queue their end can't be told, so that another
  // worker will do them again: nothing to wait for.
  lifecycle.atStop('jobs', () => (cache.status === 'ready' ? worker.close() : undefined));
  await service.start();
  lifecycle.atStop('queue', queue.close);
  lifecycle.atStop('cache', () => cache.disconnect());
  lifecycle.atStop('database', database.close);
}

/**
 * The work: a digest, kept under the job's id. A job may run twice (its worker may die between the work and
 * the report), so it is written once.
 *
 * @param {import('../database.js').Database} database
 * @param {Job} job
 */
async function digest(database, job) {
  const { text, ms, fail } = job.data;
  await sleep(ms);
  if (fail) throw new Error('this job was asked to fail');
  const result = createHash('sha256').update(text).digest('hex');
  const sql = 'INSERT INTO digests (job, digest) VALUES ($1, $2) ON CONFLICT (job) DO NOTHING';
  await database.query('digest', sql, [`${job.timestamp}/${job.id}`, result]);
  return { digest: result };
}

/** @typedef {import('bullmq').Job<{ text: string, ms: number, fail: boolean, trace?: Record<string, string> }>} Job */
