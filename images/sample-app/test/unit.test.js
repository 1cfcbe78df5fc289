import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { hashPassword, issueToken, userOf, verifyPassword } from '../src/auth.js';
import { ConfigError, loadConfig } from '../src/config.js';
import { createErrors, parseDsn } from '../src/errors.js';
import { Unavailable, enoughMemory, health, within } from '../src/health.js';
import { Lifecycle } from '../src/lifecycle.js';
import { createLog } from '../src/log.js';
import { planMigrations, readMigrations } from '../src/migrations.js';
import { publicFiles } from '../src/roles/web.js';
import { SecretFile } from '../src/secrets.js';

const folder = mkdtempSync(join(tmpdir(), 'sample-app-unit-'));
after(() => rmSync(folder, { recursive: true }));

/** @param {string} name @param {string} content */
function file(name, content) {
  const path = join(folder, name);
  writeFileSync(`${path}.new`, content);
  renameSync(`${path}.new`, path);
  return path;
}

/** @returns {{ log: import('../src/log.js').Log, lines: any[] }} */
function memoryLog() {
  const lines = /** @type {any[]} */ ([]);
  const write = (/** @type {string} */ line) => void lines.push(JSON.parse(line));
  return { log: createLog({ role: 'api', version: '1' }, { write }), lines };
}

const secret = () => file('jwt', 'a'.repeat(32));
const valid = () => ({
  PGHOST: 'db',
  PGDATABASE: 'app',
  PGUSER: 'app',
  PGPASSWORD_FILE: file('pg', 'p\n'),
  REDIS_HOST: 'cache',
  JWT_SECRET_FILE: secret(),
});

test('a role asks for what it needs and no more', () => {
  assert.equal(loadConfig('web', {}).database, undefined);
  const { database, cache, jwt } = loadConfig('api', valid());
  assert.equal(database?.password.value, 'p');
  assert.equal(cache?.port, 6379);
  assert.equal(jwt?.secret.value.length, 32);
});

test('every fault of the configuration is told at once', () => {
  const env = {
    PORT: '70000',
    PGPASSWORD_FILE: '/nowhere',
    TRUSTED_PROXIES: '10.0.0.0/8,10.0.0.0/33,host',
    CORS_ORIGINS: 'https://www.example.com,https://www.example.com/path,*',
    JWT_SECRET_FILE: file('short', 'short'),
    LINGER_SECONDS: '30',
  };
  const fault = /** @type {ConfigError} */ (catching(() => loadConfig('api', env)));
  assert.ok(fault instanceof ConfigError);
  const expected = [
    'PORT is "70000"',
    'TRUSTED_PROXIES holds "10.0.0.0/33"',
    'TRUSTED_PROXIES holds "host"',
    'CORS_ORIGINS holds "https://www.example.com/path"',
    'CORS_ORIGINS holds "*"',
    'PGHOST is missing',
    'PGDATABASE is missing',
    'PGUSER is missing',
    "PGPASSWORD_FILE: /nowhere can't be read: ENOENT",
    'REDIS_HOST is missing',
    'JWT_SECRET_FILE: ',
    'LINGER_SECONDS (30) is not below DRAIN_SECONDS (30)',
  ];
  assert.equal(fault.faults.length, expected.length, fault.message);
  for (const [index, start] of expected.entries())
    assert.ok(fault.faults[index].startsWith(start), fault.faults[index]);
});

/** @param {() => unknown} run */
function catching(run) {
  try {
    run();
  } catch (error) {
    return error;
  }
  return assert.fail('nothing was thrown');
}

test('a secret is read again when its file changes, and kept while the file is away', () => {
  const path = file('rotating', 'one\n');
  const rotating = new SecretFile(path);
  assert.equal(rotating.value, 'one');
  file('rotating', 'two');
  assert.equal(rotating.value, 'two');
  rmSync(path);
  assert.equal(rotating.value, 'two');
  assert.throws(() => new SecretFile(file('empty', '\n')), /empty/);
});

test('a token holds with the secret and with the ones before and after, and with no other', async () => {
  const [one, two, three] = ['1', '2', '3'].map((digit) => new SecretFile(file(`key${digit}`, digit.repeat(32))));
  const token = await issueToken({ secret: one }, 'ada');
  assert.equal(await userOf({ secret: one }, token), 'ada');
  assert.equal(await userOf({ secret: two, previous: one }, token), 'ada');
  assert.equal(await userOf({ secret: two, next: one }, token), 'ada');
  assert.equal(await userOf({ secret: two, previous: three, next: three }, token), undefined);
  assert.equal(await userOf({ secret: one }, `${token.slice(0, -4)}AAAA`), undefined);
});

test('a password matches its own digest only', async () => {
  const stored = await hashPassword('correct horse');
  assert.ok(await verifyPassword('correct horse', stored));
  assert.ok(!(await verifyPassword('correct horsf', stored)));
  assert.ok(!(await verifyPassword('', undefined)));
  assert.notEqual(await hashPassword('correct horse'), stored);
});

test('the stop takes its steps in order, once, and goes on after one that fails', async () => {
  const { log } = memoryLog();
  /** @type {unknown[]} */
  const seen = [];
  const lifecycle = new Lifecycle({ drainSeconds: 10, log, exit: (code) => seen.push(code) });
  lifecycle.atStop('first', (left) => seen.push(left > 9 && lifecycle.draining));
  lifecycle.atStop('second', () => Promise.reject(new Error('broken')));
  lifecycle.atStop('third', () => seen.push('third'));
  await Promise.all([lifecycle.stop('SIGTERM'), lifecycle.stop('SIGTERM')]);
  assert.deepEqual(seen, [true, 'third', 1]);
});

test('a step that hangs does not outlive the drain time', async () => {
  const { log, lines } = memoryLog();
  const code = await new Promise((exit) => {
    const lifecycle = new Lifecycle({ drainSeconds: 0.2, log, exit });
    lifecycle.atStop('hangs', () => new Promise(() => {}));
    void lifecycle.stop('SIGTERM');
  });
  assert.equal(code, 1);
  assert.equal(lines.at(-1).step, 'hangs');
});

test('health is down when one check fails or does not answer', async () => {
  const { log } = memoryLog();
  const up = async () => {};
  assert.deepEqual(await health({ a: up }, log), { status: 'up', checks: { a: { status: 'up' } } });
  const broken = await health({ a: up, b: () => Promise.reject(new Error('no')) }, log);
  assert.deepEqual(broken, { status: 'down', checks: { a: { status: 'up' }, b: { status: 'down' } } });
  await assert.rejects(within(10, new Promise(() => {})), Unavailable);
});

test('memory is short near the heap limit and near the limit of the container', () => {
  const use = { heapUsed: 50, heapLimit: 100, rss: 80, limit: 0 };
  assert.ok(enoughMemory(use));
  assert.ok(!enoughMemory({ ...use, heapUsed: 96 }));
  assert.ok(enoughMemory({ ...use, limit: 100 }));
  assert.ok(!enoughMemory({ ...use, limit: 81 }));
});

test('logs hold neither credentials nor queries', () => {
  const { log, lines } = memoryLog();
  const headers = { authorization: 'hidden', cookie: 'hidden', 'set-cookie': 'hidden' };
  log.info({
    req: { method: 'GET', url: '/a?token=hidden', headers },
    user: { password: 'hidden' },
    token: 'hidden',
    message: { headers },
  });
  log.error({ err: Object.assign(new Error('failed'), { detail: 'hidden' }) });
  assert.ok(!JSON.stringify(lines).includes('hidden'), JSON.stringify(lines));
  assert.equal(lines[0].req.path, '/a');
  assert.equal(lines[0].level, 'info');
});

const migration = (/** @type {string} */ name, checksum = name) => ({ name, sql: '', checksum });

test('only what is new is applied', () => {
  const [a, b] = [migration('0001_a.sql'), migration('0002_b.sql')];
  assert.deepEqual(planMigrations([a, b], [a]), { pending: [b], faults: [], unknown: [] });
  assert.deepEqual(planMigrations([a, b], [a, b]), { pending: [], faults: [], unknown: [] });
  assert.deepEqual(planMigrations([a], [a, b]), { pending: [], faults: [], unknown: ['0002_b.sql'] });
});

test('changed, late, twice numbered and misnamed migrations are refused', () => {
  const [a, b, c] = [migration('0001_a.sql'), migration('0002_b.sql'), migration('0003_c.sql')];
  const faults = (/** @type {any[]} */ here, /** @type {any[]} */ applied) =>
    planMigrations(here, applied).faults.join();
  assert.match(faults([a], [{ ...a, checksum: 'other' }]), /0001_a.sql: was changed/);
  assert.match(faults([a, b, c], [a, c]), /0002_b.sql: comes before 0003_c.sql/);
  assert.match(faults([a, migration('0001_z.sql')], []), /has the number of 0001_a.sql/);
  assert.match(faults([migration('1-a.sql')], []), /its name/);
});

test("the project's own migrations are in order, and a checksum follows the content", () => {
  const own = readMigrations(new URL('../migrations/', import.meta.url).pathname);
  assert.deepEqual(planMigrations(own, []).faults, []);
  assert.ok(own.length >= 3);
  const path = file('0001_a.sql', 'SELECT 1');
  const [before] = readMigrations(folder);
  writeFileSync(path, 'SELECT 2');
  assert.notEqual(readMigrations(folder)[0].checksum, before.checksum);
});

test('an asset is named by its content, and the page names each asset', () => {
  const files = publicFiles();
  const page = String(files.find(({ path }) => path === '/')?.content);
  const assets = files.filter(({ path }) => path.startsWith('/assets/'));
  assert.equal(assets.length, 2);
  for (const { path, content, cacheControl } of assets) {
    const digest = createHash('sha256').update(content).digest('hex').slice(0, 8);
    assert.ok(path.includes(`.${digest}.`), `${path} should be named by ${digest}`);
    assert.ok(page.includes(`"${path}"`));
    assert.match(cacheControl, /immutable/);
  }
});

test('the lock names no registry and pins what package.json names', () => {
  const read = (/** @type {string} */ name) => readFileSync(new URL(`../${name}`, import.meta.url), 'utf8');
  assert.doesNotMatch(read('package-lock.json'), /"resolved"|https?:\/\/registry/);
  const { dependencies, devDependencies } = JSON.parse(read('package.json'));
  for (const range of Object.values({ ...dependencies, ...devDependencies })) assert.match(String(range), /^\d/);
});

/** Something that takes envelopes as Sentry does. @param {number[]} answers its codes, the last one for all that follow */
async function sentry(...answers) {
  /** @type {{ path: string, key: string, items: any[] }[]} */
  const taken = [];
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const items = body.trimEnd().split('\n').map((line) => JSON.parse(line));
    assert.equal(Buffer.byteLength(body.split('\n')[2]), items[1].length);
    taken.push({ path: String(request.url), key: String(request.headers['x-sentry-auth']), items });
    response.writeHead((answers.length > 1 ? answers.shift() : answers[0]) ?? 200, { 'retry-after': '30' }).end('{}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  after(() => server.close());
  return { taken, dsn: new SecretFile(file('dsn', `http://k3y@127.0.0.1:${port}/under/42`)) };
}

const about = { environment: 'staging', release: '1.2.3', role: 'api' };

test('an error is reported with its causes and its place, and with nothing of who asked', async () => {
  const { taken, dsn } = await sentry(200);
  const errors = createErrors({ dsn, ...about }, memoryLog().log);
  const failure = new Error('outer', { cause: new TypeError('inner') });
  errors.report(failure, { tags: { method: 'GET', route: '/items/:id', missing: undefined } });
  await errors.flush();
  const [{ path, key, items }] = taken;
  assert.equal(path, '/under/api/42/envelope/');
  assert.match(key, /^Sentry sentry_version=7, sentry_client=[\w./-]+, sentry_key=k3y$/);
  const [header, { type }, event] = items;
  assert.equal(type, 'event');
  assert.equal(header.event_id, event.event_id);
  assert.match(event.event_id, /^[0-9a-f]{32}$/);
  assert.equal(event.environment, 'staging');
  assert.equal(event.release, '1.2.3');
  assert.deepEqual(event.tags, { method: 'GET', route: '/items/:id', role: 'api' });
  const [cause, outer] = event.exception.values;
  assert.deepEqual([cause.type, cause.value, outer.value], ['TypeError', 'inner', 'outer']);
  assert.match(outer.stacktrace.frames.at(-1).filename, /unit\.test\.js$/);
  assert.equal(JSON.stringify(items).includes('k3y'), false);
});

test('who takes no more reports gets none for as long as it says, and nobody fails of it', async () => {
  const { taken, dsn } = await sentry(429);
  const { log, lines } = memoryLog();
  const errors = createErrors({ dsn, ...about }, log);
  errors.report(new Error('first'));
  await errors.flush();
  errors.report(new Error('second'));
  await errors.flush();
  assert.equal(taken.length, 1);
  assert.deepEqual(lines.map(({ msg }) => msg), ['an error could not be reported']);
});

test('a flood of errors is cut, and the next report says by how many', async () => {
  const { taken, dsn } = await sentry(200);
  const errors = createErrors({ dsn, ...about }, memoryLog().log);
  for (let count = 0; count < 25; count += 1) errors.report(new Error('again'));
  await errors.flush();
  assert.equal(taken.length, 10);
  errors.report('not an error');
  await errors.flush();
  assert.deepEqual(taken.at(-1)?.items[2].extra, { dropped_before: 15 });
});

test('without a DSN nothing is sent, and one that is none is told at the start', async () => {
  createErrors(about, memoryLog().log).report(new Error('nobody hears'));
  const { log, lines } = memoryLog();
  const errors = createErrors({ dsn: new SecretFile(file('none', 'hunter2')), ...about }, log);
  errors.report(new Error('lost'));
  await errors.flush();
  assert.equal(lines.length, 2);
  assert.equal(JSON.stringify(lines).includes('hunter2'), false);
  for (const wrong of ['https://host/1', 'https://key@host/', 'ftp://key@host/1', '']) {
    assert.throws(() => parseDsn(wrong), /no DSN/);
  }
});
