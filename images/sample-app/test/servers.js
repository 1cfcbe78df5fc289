// A private PostgreSQL and a private Redis or Valkey, with TLS, for as long as one test file runs.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';

const PATIENCE_MILLISECONDS = 30_000;
const AS_ROOT = process.getuid?.() === 0;

/** @param {string} name @param {string[]} [folders] */
function program(name, folders = []) {
  const all = [...folders, ...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return all.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

const POSTGRES = '/usr/lib/postgresql';
const versions = existsSync(POSTGRES) ? readdirSync(POSTGRES).sort((a, b) => Number(b) - Number(a)) : [];
const folders = versions.map((version) => join(POSTGRES, version, 'bin'));
const programs = {
  initdb: program('initdb', folders),
  postgres: program('postgres', folders),
  cache: program('valkey-server') ?? program('redis-server'),
  openssl: program('openssl'),
  setpriv: program('setpriv'),
};

/** Why the servers can't run here, or false. */
export const missing = whatIsMissing();

function whatIsMissing() {
  const absent = Object.entries(programs)
    .filter(([, path]) => !path)
    .map(([name]) => name);
  if (absent.length > 0)
    return `not on this machine: ${absent.join(', ').replace('cache', 'valkey-server or redis-server')}`;
  if (AS_ROOT && postgresUser() === undefined) return 'PostgreSQL refuses to run as root and there is no user postgres';
  return false;
}

function postgresUser() {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('postgres:'));
  if (!line) return undefined;
  const [, , uid, gid] = line.split(':').map(Number);
  return { uid, gid };
}

/** Awaits a condition. @template T @param {string} what @param {() => Promise<T> | T} condition @returns {Promise<T>} */
export async function until(what, condition) {
  const end = Date.now() + PATIENCE_MILLISECONDS;
  let reason;
  for (;;) {
    try {
      const found = await condition();
      if (found) return found;
    } catch (error) {
      reason = error;
    }
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`, { cause: reason });
    await sleep(50);
  }
}

/** @returns {Promise<number>} */
export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
      server.close(() => resolve(port));
    });
  });
}

/**
 * Starts a program that ends when this process does, however that ends.
 *
 * @param {string} signal
 * @param {string[]} command
 * @param {import('node:child_process').SpawnOptions & { user?: { uid: number, gid: number } }} [options]
 */
export function start(signal, command, { user, ...options } = {}) {
  const as = user ? [`--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups'] : [];
  return spawn(String(programs.setpriv), [`--pdeathsig=${signal}`, ...as, ...command], options);
}

/** @param {import('node:child_process').ChildProcess} child @param {NodeJS.Signals} signal @returns {Promise<number | null>} */
export async function end(child, signal) {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  return ended;
}

export class Servers {
  folder = mkdtempSync(join(tmpdir(), 'sample-app-'));
  postgresPassword = randomBytes(12).toString('hex');
  cachePassword = randomBytes(12).toString('hex');
  /** @type {import('node:child_process').ChildProcess[]} */
  #children = [];

  async start() {
    chmodSync(this.folder, 0o755);
    this.user = AS_ROOT ? postgresUser() : undefined;
    this.#certificates();
    this.postgresPort = await freePort();
    this.cachePort = await freePort();
    await this.#startPostgres();
    await this.startCache();
    const { database, cache } = this;
    await until('PostgreSQL', () => database('SELECT 1'));
    await until('the cache', () => cache('PING'));
    return this;
  }

  /** @param {string} name @param {string} content */
  write(name, content) {
    const path = join(this.folder, name);
    writeFileSync(path, content);
    chmodSync(path, 0o600);
    if (this.user) chownSync(path, this.user.uid, this.user.gid);
    return path;
  }

  #certificates() {
    const [key, certificate] = [this.write('server.key', ''), this.write('ca.pem', '')];
    const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'];
    const made = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
    execFileSync(String(programs.openssl), ['req', ...made, ...subject, '-keyout', key, '-out', certificate], {
      stdio: 'pipe',
    });
  }

  async #startPostgres() {
    const data = mkdtempSync(join(this.folder, 'postgres-'));
    if (this.user) chownSync(data, this.user.uid, this.user.gid);
    const passwords = this.write('postgres-password', this.postgresPassword);
    const options = { user: this.user, cwd: data, stdio: /** @type {const} */ ('ignore') };
    const make = [
      String(programs.initdb),
      '-D',
      data,
      '-U',
      'app',
      '-A',
      'scram-sha-256',
      `--pwfile=${passwords}`,
      '-N',
      '--no-locale',
    ];
    const made = start('KILL', make, options);
    const code = await new Promise((resolve) => made.once('exit', resolve));
    if (code !== 0) throw new Error(`initdb ended with ${code}`);
    const settings = {
      listen_addresses: 'localhost',
      port: this.postgresPort,
      unix_socket_directories: '',
      fsync: 'off',
      ssl: 'on',
      ssl_cert_file: join(this.folder, 'ca.pem'),
      ssl_key_file: join(this.folder, 'server.key'),
    };
    const told = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
    this.#children.push(start('QUIT', [String(programs.postgres), '-D', data, ...told], options));
  }

  async startCache() {
    const settings = {
      bind: '127.0.0.1',
      port: 0,
      'tls-port': this.cachePort,
      'tls-cert-file': join(this.folder, 'ca.pem'),
      'tls-key-file': join(this.folder, 'server.key'),
      'tls-ca-cert-file': join(this.folder, 'ca.pem'),
      'tls-auth-clients': 'no',
      requirepass: this.cachePassword,
      'maxmemory-policy': 'noeviction',
      save: '',
      dir: this.folder,
    };
    const told = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
    this.cacheProcess = start('KILL', [String(programs.cache), ...told], { stdio: 'ignore', user: this.user });
    this.#children.push(this.cacheProcess);
  }

  get ca() {
    return readFileSync(join(this.folder, 'ca.pem'), 'utf8');
  }

  /** One statement as the database's owner. */
  database = async (/** @type {string} */ sql, /** @type {unknown[]} */ values = []) => {
    const { postgresPort: port, postgresPassword: password, ca } = this;
    const client = new pg.Client({ host: 'localhost', port, user: 'app', password, database: 'postgres', ssl: { ca } });
    await client.connect();
    try {
      return (await client.query(sql, values)).rows;
    } finally {
      await client.end();
    }
  };

  /** One command to the cache. */
  cache = async (/** @type {string[]} */ ...command) => {
    const { cachePort: port, cachePassword: password, ca } = this;
    const client = new Redis({
      host: 'localhost',
      port,
      password,
      tls: { ca },
      lazyConnect: true,
      retryStrategy: () => null,
    });
    client.on('error', () => {});
    try {
      await client.connect();
      return await client.call(command[0], ...command.slice(1));
    } finally {
      client.disconnect();
    }
  };

  async stop() {
    await Promise.all(this.#children.map((child) => end(child, child === this.cacheProcess ? 'SIGKILL' : 'SIGQUIT')));
    rmSync(this.folder, { recursive: true, force: true });
  }
}
