import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { connect, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { io } from 'socket.io-client';
import { World } from './app.js';
import { end, freePort, missing, until } from './servers.js';

/** One request over a connection that stays open. @param {Agent} agent @param {string} url @returns {Promise<{ status?: number, connection?: string }>} */
function over(agent, url) {
  return new Promise((resolve, reject) => {
    request(url, { agent }, (response) => {
      response
        .resume()
        .on('end', () => resolve({ status: response.statusCode, connection: response.headers.connection }));
    })
      .on('error', reject)
      .end();
  });
}

describe('through stops, rotations and outages', { skip: missing }, () => {
  const world = new World();
  /** @type {import('./app.js').App} */
  let api;
  /** @type {string} */
  let token;
  before(async () => {
    await world.start();
    assert.equal((await world.run(['migrate'])).code, 0);
    api = await world.serve('api');
    ({ token } = await api.signup());
  });
  after(() => world.stop());

  const draining = (/** @type {import('./app.js').App} */ app) =>
    until('the stop to begin', () => app.logs.some(({ msg }) => msg === 'stopping'));

  test('a request in flight is answered, a new one too, and readiness fails', async () => {
    const app = await world.serve('api', { LINGER_SECONDS: '2' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    assert.deepEqual(await over(agent, `${app.url}/version`), { status: 200, connection: 'keep-alive' });
    const slow = app.ask('/slow?ms=3000');
    await until('the slow request to arrive', () => app.logs.some(({ req }) => req?.path === '/slow'));
    app.child.kill('SIGTERM');
    await draining(app);
    assert.deepEqual(await over(agent, `${app.url}/version`), { status: 200, connection: 'close' });
    const health = await app.ask('/health');
    assert.deepEqual([health.status, health.body.status], [503, 'draining']);
    assert.equal(health.body.checks.database.status, 'up');
    const answer = await slow;
    assert.deepEqual([answer.status, answer.body], [200, { ms: 3000 }]);
    assert.equal(await app.ended, 0, app.output);
    await assert.rejects(app.ask('/version'));
    agent.destroy();
  });

  test('what takes longer than the drain time is cut off', async () => {
    const app = await world.serve('api', { DRAIN_SECONDS: '1', LINGER_SECONDS: '0' });
    const cut = assert.rejects(app.ask('/slow?ms=30000'));
    await until('the slow request to arrive', () => app.logs.some(({ req }) => req?.path === '/slow'));
    const started = Date.now();
    assert.equal(await app.stop(), 1);
    assert.ok(Date.now() - started < 2000);
    await cut;
    assert.equal(app.logs.at(-1).step, 'requests');
  });

  test('without a worker the smoke run passes, and leaves no job', async () => {
    const { code, output } = await world.run(['smoke', '--url', String(api.url)]);
    assert.equal(code, 0, output);
    assert.match(output, /^ok {4}job queued /m);
    assert.deepEqual(await world.servers.cache('LRANGE', 'bull:jobs:wait', '0', '-1'), []);
  });

  test('a worker finishes the job in hand and takes no other', async () => {
    const add = async (/** @type {number} */ ms) =>
      (await api.ask('/jobs', { token, json: { text: `${ms}`, ms } })).body.id;
    const job = async (/** @type {string} */ id) => (await api.ask(`/jobs/${id}`, { token })).body;
    const worker = await world.serve('worker', { WORKER_CONCURRENCY: '1' });
    const [inHand, next] = [await add(2000), await add(0)];
    await until('the first job to begin', async () => (await job(inHand)).state === 'active');
    assert.equal(await worker.stop(), 0, worker.output);
    assert.equal((await job(inHand)).state, 'completed');
    assert.equal((await job(next)).state, 'waiting');
    const successor = await world.serve('worker');
    await until('the next job', async () => (await job(next)).state === 'completed');
    assert.equal(await successor.stop(), 0);
    assert.equal((await world.servers.database('SELECT 1 FROM digests')).length, 2);
  });

  test('sockets share rooms across pods, and are sent elsewhere when theirs stops', async (t) => {
    const [one, two] = await Promise.all([world.serve('realtime'), world.serve('realtime')]);
    const connect = async (/** @type {import('./app.js').App} */ app, /** @type {string} */ transport) => {
      const socket = io(String(app.url), {
        transports: [transport],
        auth: { token },
        forceNew: true,
        reconnectionDelay: 100,
      });
      t.after(() => socket.disconnect());
      await new Promise((resolve, reject) => socket.once('connect', () => resolve(0)).once('connect_error', reject));
      await socket.timeout(5000).emitWithAck('join', 'room');
      return socket;
    };
    const here = [await connect(one, 'websocket'), await connect(one, 'polling')];
    const there = await connect(two, 'websocket');
    assert.equal(await one.metric('websocket_connections'), 2);

    const listeners = async () =>
      /** @type {any[]} */ (await world.servers.cache('PUBSUB', 'NUMSUB', 'socket.io-request#/#'))[1];
    await until('both pods to listen', async () => Number(await listeners()) === 2);
    const heard = new Promise((resolve) => here[1].once('said', resolve));
    await there.timeout(5000).emitWithAck('say', { room: 'room', text: 'hello' });
    assert.equal(/** @type {any} */ (await heard).text, 'hello');
    assert.deepEqual(await there.timeout(5000).emitWithAck('say', { room: 'other', text: 'hello' }), {
      error: 'not in this room',
    });
    assert.deepEqual(await there.timeout(5000).emitWithAck('join', '../room'), { error: 'not the name of a room' });

    const reasons = here.map((socket) => new Promise((resolve) => socket.once('disconnect', resolve)));
    one.child.kill('SIGTERM');
    for (const reason of await Promise.all(reasons))
      assert.ok(['transport close', 'transport error'].includes(String(reason)), String(reason));
    // A client that was told to disconnect would not be active: it would never come back.
    for (const socket of here) assert.ok(socket.active);
    await draining(one);
    const refused = await one.ask('/socket.io/?EIO=4&transport=polling');
    assert.equal(refused.status, 403);
    assert.equal(await one.ended, 0, one.output);
    assert.equal(there.connected, true);
    there.disconnect();
    assert.equal(await two.stop(), 0, two.output);
  });

  test('a socket without a token is turned away', async () => {
    const app = await world.serve('realtime');
    for (const auth of [{}, { token: 'forged' }]) {
      const socket = io(String(app.url), { auth, reconnection: false, forceNew: true });
      const error = await new Promise((resolve) => socket.once('connect_error', resolve));
      assert.equal(/** @type {Error} */ (error).message, 'not signed in');
      socket.disconnect();
    }
    assert.equal(await app.stop(), 0);
  });

  test('replaced secrets are taken up without a restart', async () => {
    const { servers } = world;
    const [worker, realtime] = await Promise.all([world.serve('worker'), world.serve('realtime')]);
    servers.write('jwt-secret-previous', world.jwtSecret);
    servers.write('jwt-secret', randomBytes(32).toString('hex'));
    assert.equal((await api.ask('/items', { token })).status, 200);
    servers.write('jwt-secret-previous', randomBytes(32).toString('hex'));
    assert.equal((await api.ask('/items', { token })).status, 401);

    const renewed = randomBytes(12).toString('hex');
    await servers.database(`ALTER USER app PASSWORD '${renewed}'`);
    await servers.cache('CONFIG', 'SET', 'requirepass', renewed);
    [servers.postgresPassword, servers.cachePassword] = [renewed, renewed];
    servers.write('pgpassword', renewed);
    servers.write('redis-password', renewed);
    await servers.database(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = $1',
      ['client backend'],
    );
    for (const type of ['normal', 'pubsub']) await servers.cache('CLIENT', 'KILL', 'TYPE', type);
    for (const app of [api, realtime, worker]) {
      await until(`${app.url} to be up`, async () => (await app.ask('/health')).status === 200);
    }
    const { code, output } = await world.run([
      'smoke',
      '--jobs',
      '--url',
      String(api.url),
      '--realtime-url',
      String(realtime.url),
    ]);
    assert.equal(code, 0, output);
  });

  test('without its cache a pod is alive, not ready, measurable, and says so to its clients', async () => {
    const { servers } = world;
    const [worker, realtime] = await Promise.all([world.serve('worker'), world.serve('realtime')]);
    const { token } = await api.signup();
    await end(/** @type {import('node:child_process').ChildProcess} */ (servers.cacheProcess), 'SIGKILL');
    for (const app of [api, worker, realtime]) {
      await until(`${app.url} to be down`, async () => (await app.ask('/health')).status === 503);
      const { body } = await app.ask('/health');
      assert.deepEqual([body.status, body.checks.cache.status, body.checks.memory.status], ['down', 'down', 'up']);
      assert.equal((await app.ask('/version')).status, 200);
    }
    assert.equal((await api.ask('/health')).body.checks.database.status, 'up');
    assert.equal((await api.ask('/items', { token })).status, 200);
    assert.equal((await api.ask('/jobs', { token, json: { text: 'x' } })).status, 503);
    assert.equal(await worker.metric('queue_jobs{state="waiting"}'), undefined);
    assert.ok(Number.isNaN(await worker.metric('queue_oldest_waiting_seconds')));
    await servers.startCache();
    for (const app of [api, worker, realtime]) {
      await until(`${app.url} to be up`, async () => (await app.ask('/health')).status === 200);
    }
    const { code, output } = await world.run([
      'smoke',
      '--jobs',
      '--url',
      String(api.url),
      '--realtime-url',
      String(realtime.url),
    ]);
    assert.equal(code, 0, output);
  });

  test('the smoke run waits for a cache that restarts, and only for so long', async () => {
    const { servers } = world;
    await end(/** @type {import('node:child_process').ChildProcess} */ (servers.cacheProcess), 'SIGKILL');
    await until('the api to be down', async () => (await api.ask('/health')).status === 503);
    const impatient = await world.run(['smoke', '--url', String(api.url), '--wait', '1']);
    assert.deepEqual([impatient.code, impatient.output], [1, 'FAIL  health: the status is down, cache\n']);
    const asked = () => api.logs.filter(({ check }) => check === 'cache').length;
    const before = asked();
    const patient = world.run(['smoke', '--url', String(api.url)]);
    await until('the smoke run to have asked', () => asked() > before);
    await servers.startCache();
    const { code, output } = await patient;
    assert.equal(code, 0, output);
  });

  test('migrations wait for a database that starts, and only for so long', async () => {
    const nowhere = { PGPORT: String(await freePort()) };
    const impatient = await world.run(['migrate'], { ...nowhere, CONNECT_SECONDS: '1' });
    assert.equal(impatient.code, 1, impatient.output);
    assert.match(impatient.output, /ECONNREFUSED/);
    const patient = world.spawn(['migrate'], nowhere);
    await until('the first attempt', () => patient.logs.some(({ msg }) => msg === 'waiting for the database'));
    const through = createServer((socket) => {
      const server = connect(Number(world.servers.postgresPort), 'localhost');
      socket.pipe(server).pipe(socket);
      for (const each of [socket, server]) each.on('error', () => {});
    });
    await new Promise((resolve) => through.listen(Number(nowhere.PGPORT), 'localhost', () => resolve(0)));
    assert.equal(await patient.ended, 0, patient.output);
    through.close();
    const started = Date.now();
    const refused = await world.run(['migrate'], { PGPASSWORD_FILE: world.servers.write('wrong', 'wrong') });
    assert.equal(refused.code, 1, refused.output);
    assert.match(refused.output, /"code":"28P01"/);
    assert.ok(Date.now() - started < 10_000);
  });

  test('a pod that starts while everything it needs is away serves what it can, and stops in time', async () => {
    const nowhere = { PGPORT: '1', REDIS_PORT: '1', LINGER_SECONDS: '0', DRAIN_SECONDS: '10' };
    for (const role of ['api', 'worker', 'realtime']) {
      const app = await world.serve(role, nowhere);
      const { status, body } = await app.ask('/health');
      assert.deepEqual([status, body.status, body.checks.cache.status], [503, 'down', 'down']);
      assert.equal((await app.ask('/version')).status, 200);
      assert.ok(Number(await app.metric('process_resident_memory_bytes')) > 0);
      assert.equal(await app.stop(), 0, app.output);
    }
  });
});
