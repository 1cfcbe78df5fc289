import assert from 'node:assert/strict';
import { cpSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { World } from './app.js';
import { freePort, missing, until } from './servers.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

describe('against a real PostgreSQL and a real cache', { skip: missing }, () => {
  const world = new World();
  /** @type {Record<string, import('./app.js').App>} */
  const apps = {};
  before(async () => {
    await world.start();
    const runs = await Promise.all([world.run(['migrate']), world.run(['migrate'])]);
    assert.deepEqual(
      runs.map(({ code }) => code),
      [0, 0],
      runs.map(({ output }) => output).join(),
    );
    apps.api = await world.serve('api', { CORS_ORIGINS: 'https://www.example.com', BODY_LIMIT_BYTES: '2048' });
    apps.worker = await world.serve('worker', { WORKER_CONCURRENCY: '1' });
    apps.realtime = await world.serve('realtime');
    apps.web = await world.serve('web', { CONNECT_ORIGINS: 'https://api.example.com,wss://ws.example.com' });
  });
  after(() => world.stop());

  test('migrations that ran side by side were applied once, and a third run does nothing', async () => {
    const applied = await world.servers.database('SELECT name FROM schema_migrations ORDER BY name');
    assert.deepEqual(
      applied.map(({ name }) => name.slice(0, 4)),
      ['0001', '0002', '0003'],
    );
    const again = await world.run(['migrate']);
    assert.equal(again.code, 0);
    assert.match(again.output, /"applied":0/);
  });

  test('a migration that was changed is refused, one that fails leaves nothing', async () => {
    const copy = `${world.servers.folder}/copy`;
    for (const part of ['src', 'migrations', 'package.json'])
      cpSync(ROOT + part, `${copy}/${part}`, { recursive: true });
    symlinkSync(`${ROOT}node_modules`, `${copy}/node_modules`);
    writeFileSync(`${copy}/migrations/0009_half.sql`, 'CREATE TABLE half (id int); SELECT 1/0;');
    const failed = await world.run(['migrate'], {}, `${copy}/src/main.js`);
    assert.equal(failed.code, 1, failed.output);
    assert.match(failed.output, /0009_half.sql failed.*division by zero/);
    assert.deepEqual(await world.servers.database("SELECT to_regclass('half') AS half"), [{ half: null }]);
    writeFileSync(`${copy}/migrations/0001_accounts.sql`, 'SELECT 1;');
    const changed = await world.run(['migrate'], {}, `${copy}/src/main.js`);
    assert.equal(changed.code, 3, changed.output);
    assert.match(changed.output, /0001_accounts.sql: was changed/);
  });

  test('a certificate for another host is refused', async () => {
    const { code, output } = await world.run(['migrate'], { PGHOST: '127.0.0.1' });
    assert.equal(code, 1);
    assert.match(output, /ERR_TLS_CERT_ALTNAME_INVALID/);
  });

  test('a configuration with faults ends with 2 and one line', async () => {
    const { code, output } = await world.run(['api'], { PGHOST: '', REDIS_HOST: '' });
    assert.equal(code, 2);
    assert.match(output, /^[^\n]*PGHOST is missing; REDIS_HOST is missing[^\n]*\n$/);
    assert.equal((await world.run(['unknown'])).code, 2);
  });

  test('the smoke run succeeds, says each check, and takes its account away', async () => {
    const { code, output } = await world.run([
      'smoke',
      '--url',
      String(apps.api.url),
      '--jobs',
      '--realtime-url',
      String(apps.realtime.url),
      '--expect-version',
      '1.2.3',
    ]);
    assert.equal(code, 0, output);
    const names = [...output.matchAll(/^ok {4}(.*) \(/gm)].map(([, name]) => name);
    const sockets = ['socket echo (websocket)', 'socket echo (polling)', 'socket room'];
    assert.deepEqual(names, ['health', 'version', 'signup', 'login', 'item', 'job', ...sockets, 'account removed']);
    assert.deepEqual(await world.servers.database("SELECT 1 FROM users WHERE email LIKE 'smoke-%'"), []);
  });

  test('the smoke run names the check that fails', async () => {
    const wrong = await world.run(['smoke', '--url', String(apps.api.url), '--expect-version', '9.9.9']);
    assert.deepEqual([wrong.code, wrong.output.match(/FAIL.*/)?.[0]], [1, 'FAIL  version: it is 1.2.3, not 9.9.9']);
    const closed = await world.run(['smoke', '--wait', '0', '--url', `http://127.0.0.1:${await freePort()}`]);
    assert.equal(closed.code, 1);
    assert.match(closed.output, /^FAIL {2}health: .*ECONNREFUSED/);
    assert.equal((await world.run(['smoke'])).code, 2);
    for (const wait of ['soon', '601']) {
      const misused = await world.run(['smoke', '--url', String(apps.api.url), '--wait', wait]);
      assert.deepEqual([misused.code, misused.output.includes(`--wait is ${wait}`)], [2, true]);
    }
  });

  test('a job is taken back by its owner alone, and not from a worker', async () => {
    const { api } = apps;
    const [ada, bob] = [await api.signup(), await api.signup()];
    const { id } = (await api.ask('/jobs', { token: ada.token, json: { text: 'x', ms: 1500 } })).body;
    const remove = async (/** @type {string} */ token) =>
      (await api.ask(`/jobs/${id}`, { token, method: 'DELETE' })).status;
    const state = async () => (await api.ask(`/jobs/${id}`, { token: ada.token })).body.state;
    await until('the worker to take it', async () => (await state()) === 'active');
    assert.deepEqual([await remove(bob.token), await remove(ada.token)], [404, 409]);
    await until('the job to be done', async () => (await state()) === 'completed');
    assert.deepEqual([await remove(ada.token), await remove(ada.token)], [204, 404]);
  });

  test('every serving role tells its health and its version', async () => {
    const checks = {
      api: ['cache', 'database', 'memory'],
      worker: ['cache', 'database', 'memory'],
      realtime: ['cache', 'memory'],
      web: ['memory'],
    };
    for (const [role, expected] of Object.entries(checks)) {
      const health = await apps[role].ask('/health');
      assert.equal(health.status, 200, health.text);
      assert.deepEqual(Object.keys(health.body.checks).sort(), expected);
      assert.deepEqual((await apps[role].ask('/version')).body, { version: '1.2.3', commit: 'abcdef0', role });
      assert.equal((await apps[role].ask('/metrics')).status, 404);
      assert.equal(await apps[role].metric(`app_info{role="${role}",version="1.2.3",commit="abcdef0"}`), 1);
    }
  });

  test('what belongs to a user is theirs alone', async () => {
    const [ada, bob] = [await apps.api.signup(), await apps.api.signup()];
    assert.equal((await apps.api.ask('/items')).status, 401);
    assert.equal((await apps.api.ask('/items', { token: `${ada.token}x` })).status, 401);
    assert.equal(
      (await apps.api.ask('/items', { token: ada.token, json: { name: "'; DROP TABLE items" } })).status,
      201,
    );
    assert.equal((await apps.api.ask('/items', { token: ada.token })).body.items.length, 1);
    assert.deepEqual((await apps.api.ask('/items', { token: bob.token })).body.items, []);
    const { id } = (await apps.api.ask('/jobs', { token: ada.token, json: { text: 'mine' } })).body;
    assert.equal((await apps.api.ask(`/jobs/${id}`, { token: bob.token })).status, 404);
    const { email, password } = ada;
    assert.equal((await apps.api.ask('/auth/signup', { json: { email: email.toUpperCase(), password } })).status, 409);
    assert.equal((await apps.api.ask('/auth/login', { json: { email, password: `${password}!` } })).status, 401);
  });

  test('requests are counted by route, business by what happened', async () => {
    const { api } = apps;
    const signups = Number(await api.metric('signups_total'));
    const { token } = await api.signup();
    assert.equal(await api.metric('signups_total'), signups + 1);
    assert.equal((await api.ask('/payments/test', { token, json: { cents: 1250, currency: 'EUR' } })).status, 201);
    assert.equal((await api.ask('/payments/test', { token, json: { cents: -1, currency: 'EUR' } })).status, 400);
    assert.equal(await api.metric('payments_total{currency="EUR"}'), 1);
    assert.equal(await api.metric('payments_amount_cents_total{currency="EUR"}'), 1250);
    assert.equal((await api.ask('/jobs/none', { token })).status, 404);
    assert.equal(
      (await api.metric('http_requests_total{method="GET",route="/jobs/:id",status_code="404"}')) >= 1,
      true,
    );
    await api.ask('/no/such/path');
    assert.ok(Number(await api.metric('http_requests_total{method="GET",route="unmatched",status_code="404"}')) >= 1);
    await api.ask('/slow?ms=150');
    const slow = (/** @type {string} */ le) =>
      api.metric(`http_request_duration_seconds_bucket{le="${le}",method="GET",route="/slow",status_code="200"}`);
    assert.deepEqual([await slow('0.1'), await slow('1')], [0, 1]);
    assert.ok(Number(await api.metric('active_users')) >= 1);
    assert.equal(await api.metric('db_pool_connections{state="waiting"}'), 0);
    assert.ok(Number(await api.metric('db_pool_connections{state="idle"}')) >= 1);
  });

  test('the client address is taken from trusted proxies alone', async () => {
    const headers = { 'x-forwarded-for': '203.0.113.7, 10.1.1.1', 'x-request-id': 'request-1234' };
    const direct = await apps.api.ask('/echo', { json: { a: 1 }, headers });
    assert.equal(direct.body.client, '127.0.0.1');
    assert.equal(direct.headers.get('x-request-id'), 'request-1234');
    const behind = await world.serve('api', { TRUSTED_PROXIES: '127.0.0.1,10.0.0.0/8' });
    assert.equal((await behind.ask('/echo', { json: {}, headers })).body.client, '203.0.113.7');
    const forged = { 'x-forwarded-for': '198.51.100.1, 203.0.113.7', 'x-request-id': 'not an id' };
    const answer = await behind.ask('/echo', { json: {}, headers: forged });
    assert.equal(answer.body.client, '203.0.113.7');
    assert.match(answer.body.requestId, /^[0-9a-f-]{36}$/);
    await behind.stop();
  });

  test('large bodies and foreign origins are refused', async () => {
    assert.equal((await apps.api.ask('/echo', { json: 'x'.repeat(2000) })).status, 200);
    assert.equal((await apps.api.ask('/echo', { json: 'x'.repeat(2100) })).status, 413);
    const allowed = async (/** @type {string} */ origin) =>
      (await apps.api.ask('/version', { headers: { origin } })).headers.get('access-control-allow-origin');
    assert.equal(await allowed('https://www.example.com'), 'https://www.example.com');
    assert.equal(await allowed('https://evil.example.com'), null);
  });

  test('the page is checked each time, its assets are kept for a year', async () => {
    const { web } = apps;
    const page = await web.ask('/');
    assert.deepEqual([page.status, page.headers.get('cache-control')], [200, 'no-cache']);
    assert.match(
      String(page.headers.get('content-security-policy')),
      /connect-src 'self' https:\/\/api.example.com wss:/,
    );
    const again = await web.ask('/', { headers: { 'if-none-match': String(page.headers.get('etag')) } });
    assert.deepEqual([again.status, again.text], [304, '']);
    const asset = await web.ask(String(page.text.match(/\/assets\/[^"]+\.js/)?.[0]));
    assert.equal(asset.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    assert.match(String(asset.headers.get('content-type')), /javascript/);
    assert.equal((await web.ask('/..%2fpackage.json')).status, 404);
    assert.deepEqual((await web.ask('/config.json')).body, { api: 'https://api.example.com' });
  });

  test('the queue is measured: waiting, its age, active, delayed and failed', async () => {
    const { api, worker } = apps;
    const { token } = await api.signup();
    const failures = async () => Number((await worker.metric('jobs_finished_total{outcome="failed"}')) ?? 0);
    const before = await failures();
    const add = (/** @type {object} */ job) => api.ask('/jobs', { token, json: { text: 'x', ...job } });
    await add({ fail: true });
    await until(
      'the failed job to wait for its next try',
      async () => (await worker.metric('queue_jobs{state="delayed"}')) === 1,
    );
    await add({ ms: 3000 });
    await add({});
    const state = async () =>
      Promise.all(['active', 'waiting'].map((name) => worker.metric(`queue_jobs{state="${name}"}`)));
    await until('one active and one waiting job', async () => (await state()).join() === '1,1');
    assert.ok(Number(await worker.metric('queue_oldest_waiting_seconds')) > 0);
    await until('the job to fail for good', async () => (await worker.metric('queue_jobs{state="failed"}')) === 1);
    assert.equal((await failures()) - before, 3);
    await until('the queue to be empty', async () => (await state()).join() === '0,0');
    assert.equal(await worker.metric('queue_oldest_waiting_seconds'), 0);
  });

  test('nothing that was secret was logged', () => {
    const { postgresPassword, cachePassword } = world.servers;
    const secrets = [postgresPassword, cachePassword, world.jwtSecret, 'eyJhbGciOi', 'scrypt$'];
    for (const secret of secrets) assert.ok(!world.output.includes(secret));
    assert.ok(world.output.includes('request completed'));
  });
});
