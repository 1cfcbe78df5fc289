// What the application's libraries ask of the cache, each of their features once; run in a copy of the application.
// Environment: PORT, PASSWORD, CA.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createAdapter } from '@socket.io/redis-adapter';
import { FlowProducer, Queue, QueueEvents, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { io as connect } from 'socket.io-client';
import { cacheOptions } from './src/cache.js';

const connection = {
  ...cacheOptions({
    host: 'localhost',
    port: Number(process.env.PORT),
    password: /** @type {any} */ ({ value: process.env.PASSWORD }),
    ca: readFileSync(String(process.env.CA), 'utf8'),
  }),
  maxRetriesPerRequest: null,
};
const open = () => new Redis(connection);

async function cache() {
  const [client, other] = [open(), open()];
  assert.equal(await client.ping(), 'PONG');
  await client.set('cache:a', '1', 'EX', 60, 'NX');
  await client.pipeline().incr('cache:a').expire('cache:a', 90).get('cache:a').exec();
  assert.equal((await client.multi().hset('cache:h', 'f', 'v').hgetall('cache:h').exec())?.length, 2);
  client.defineCommand('twice', { numberOfKeys: 1, lua: "return server.call('INCRBY', KEYS[1], ARGV[1])" });
  assert.equal(await /** @type {any} */ (client).twice('cache:a', 2), 4);
  await client.watch('cache:a');
  await client.unwatch();
  const found = [];
  for await (const keys of client.scanStream({ match: 'cache:*' })) found.push(...keys);
  assert.deepEqual(new Set(found), new Set(['cache:a', 'cache:h']));

  const popped = other.blpop('cache:list', 10);
  await client.rpush('cache:list', 'x');
  assert.deepEqual(await popped, ['cache:list', 'x']);
  await client.xgroup('CREATE', 'cache:stream', 'group', '$', 'MKSTREAM');
  const read = other.xreadgroup('GROUP', 'group', 'me', 'BLOCK', 10_000, 'STREAMS', 'cache:stream', '>');
  await client.xadd('cache:stream', 'MAXLEN', '~', 10, '*', 'f', 'v');
  assert.ok(await read);

  await other.subscribe('cache:channel');
  await other.psubscribe('cache:p*');
  const heard = once(other, 'message');
  assert.equal(await client.publish('cache:channel', 'word'), 1);
  assert.deepEqual(await heard, ['cache:channel', 'word']);
  await client.unlink('cache:a', 'cache:h', 'cache:list', 'cache:stream');
  client.disconnect();
  other.disconnect();
}

async function queue() {
  const names = { connection, prefix: 'clients' };
  const [jobs, events] = [new Queue('jobs', names), new QueueEvents('jobs', names)];
  const flows = new FlowProducer(names);
  let failures = 0;
  const worker = new Worker(
    'jobs',
    async (job) => {
      if (job.name === 'retried' && failures++ === 0) throw new Error('once');
      if (job.name === 'never') throw new Error('always');
      await job.updateProgress(50);
      await job.log('half');
      return job.name;
    },
    { ...names, concurrency: 4, limiter: { max: 100, duration: 100 }, stalledInterval: 200, name: 'who' },
  );
  await Promise.all([jobs, events, worker].map((each) => each.waitUntilReady()));
  const done = (/** @type {import('bullmq').Job} */ job) => job.waitUntilFinished(events, 20_000);

  assert.equal(await done(await jobs.add('plain', {})), 'plain');
  assert.equal(await done(await jobs.add('delayed', {}, { delay: 100 })), 'delayed');
  assert.equal(await done(await jobs.add('urgent', {}, { priority: 1 })), 'urgent');
  const backoff = { type: 'exponential', delay: 50 };
  assert.equal(await done(await jobs.add('retried', {}, { attempts: 3, backoff })), 'retried');
  const never = await jobs.add('never', {}, { removeOnFail: false });
  await assert.rejects(done(never), /always/);
  await never.retry();
  await jobs.addBulk([{ name: 'one', data: {} }, { name: 'two', data: {}, opts: { deduplication: { id: 'two' } } }]);
  const children = [{ name: 'child', queueName: 'jobs' }];
  assert.equal(await done((await flows.add({ name: 'parent', queueName: 'jobs', children })).job), 'parent');

  const scheduled = once(worker, 'completed');
  await jobs.upsertJobScheduler('often', { every: 100 });
  await scheduled;
  assert.equal((await jobs.getJobSchedulers()).length, 1);
  await jobs.removeJobScheduler('often');

  await jobs.pause();
  await jobs.resume();
  assert.equal((await jobs.getWorkers()).length, 1);
  assert.ok((await jobs.getJobCounts()).completed > 0);
  assert.ok(await jobs.getJobs(['completed', 'failed', 'waiting', 'delayed'], 0, 10));
  await jobs.getMetrics('completed');
  await jobs.getRateLimitTtl();
  await jobs.setGlobalConcurrency(10);
  await jobs.trimEvents(100);
  await worker.close();
  await jobs.drain(true);
  await jobs.clean(0, 100, 'completed');
  await Promise.all([jobs, events, flows].map((each) => each.close()));
}

async function sockets() {
  const clients = [open(), open(), open(), open()];
  const servers = [];
  for (const [publish, subscribe] of [clients.slice(0, 2), clients.slice(2)]) {
    const http = createServer();
    const io = new Server(http, { adapter: createAdapter(publish, subscribe) });
    io.on('connection', (socket) => socket.join('room'));
    http.listen(0, 'localhost');
    await once(http, 'listening');
    const { port } = /** @type {import('node:net').AddressInfo} */ (http.address());
    servers.push({ io, url: `http://localhost:${port}` });
  }
  const [{ io: here }, { io: there, url }] = servers;
  const guest = connect(url, { transports: ['websocket'] });
  await once(guest, 'connect');
  while ((await here.fetchSockets()).length === 0);
  const said = new Promise((resolve) => guest.once('said', resolve));
  here.to('room').emit('said', 'word');
  assert.equal(await said, 'word');
  while ((await here.of('/').adapter.serverCount()) < 2);
  there.on('ping', (answer) => answer('pong'));
  assert.deepEqual(await here.serverSideEmitWithAck('ping'), ['pong']);
  guest.close();
  for (const { io } of servers) await io.close();
  for (const client of clients) client.disconnect();
}

for (const use of [cache, queue, sockets]) {
  await use();
  console.log(`${use.name}: done`);
}
