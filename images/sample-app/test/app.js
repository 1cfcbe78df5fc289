// The application as the platform runs it: a process per role, told by its environment.
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Servers, end, start, until } from './servers.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));

export class App {
  /** @param {import('node:child_process').ChildProcess} child */
  constructor(child) {
    this.child = child;
    this.output = '';
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (data) => (this.output += data));
    /** @type {Promise<number | null>} */
    this.ended = new Promise((resolve) => child.once('close', resolve));
  }

  get logs() {
    return this.output
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line));
  }

  async listening() {
    const { port, metricsPort } = await until('the app to listen', () => {
      if (this.child.exitCode !== null) throw new Error(this.output);
      return this.logs.find(({ msg }) => msg === 'listening');
    });
    this.url = `http://127.0.0.1:${port}`;
    this.metricsUrl = `http://127.0.0.1:${metricsPort}/metrics`;
    return this;
  }

  /** @param {string} path @param {RequestInit & { json?: unknown, token?: string }} [options] */
  async ask(path, { json, token, ...options } = {}) {
    const response = await fetch(this.url + path, {
      ...(json !== undefined && { method: 'POST', body: JSON.stringify(json) }),
      ...options,
      headers: {
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(token && { authorization: `Bearer ${token}` }),
        ...options.headers,
      },
    });
    const text = await response.text();
    const isJson = response.headers.get('content-type')?.includes('json');
    return {
      status: response.status,
      headers: response.headers,
      text,
      body: isJson && text ? JSON.parse(text) : undefined,
    };
  }

  /** The value of one series, or undefined. @param {string} series */
  async metric(series) {
    const text = await (await fetch(String(this.metricsUrl))).text();
    const line = text.split('\n').find((entry) => entry.startsWith(`${series} `));
    return line && Number(line.slice(series.length + 1));
  }

  /** A new account's token. */
  async signup() {
    const account = {
      email: `${randomBytes(6).toString('hex')}@example.invalid`,
      password: randomBytes(12).toString('hex'),
    };
    const { body } = await this.ask('/auth/signup', { json: account });
    return { ...account, ...body };
  }

  /** @param {NodeJS.Signals} signal */
  async stop(signal = 'SIGTERM') {
    await end(this.child, signal);
    return this.ended;
  }
}

/** The servers, the application's secrets, and every process that a test file starts of it. */
export class World {
  /** @type {App[]} */
  #apps = [];
  servers = new Servers();
  jwtSecret = randomBytes(32).toString('hex');

  async start() {
    await this.servers.start();
    const { servers } = this;
    this.env = {
      PORT: '0',
      METRICS_PORT: '0',
      VERSION: '1.2.3',
      COMMIT: 'abcdef0',
      DRAIN_SECONDS: '20',
      LINGER_SECONDS: '1',
      PGHOST: 'localhost',
      PGPORT: String(servers.postgresPort),
      PGDATABASE: 'postgres',
      PGUSER: 'app',
      PGPASSWORD_FILE: servers.write('pgpassword', `${servers.postgresPassword}\n`),
      PGSSLROOTCERT: `${servers.folder}/ca.pem`,
      REDIS_HOST: 'localhost',
      REDIS_PORT: String(servers.cachePort),
      REDIS_PASSWORD_FILE: servers.write('redis-password', servers.cachePassword),
      REDIS_CA_FILE: `${servers.folder}/ca.pem`,
      JWT_SECRET_FILE: servers.write('jwt-secret', this.jwtSecret),
      JWT_SECRET_PREVIOUS_FILE: servers.write('jwt-secret-previous', randomBytes(32).toString('hex')),
    };
    return this;
  }

  /** @param {string[]} args @param {Record<string, string>} [env] @param {string} [main] */
  spawn(args, env = {}, main = MAIN) {
    const options = { env: { PATH: process.env.PATH, ...this.env, ...env }, cwd: '/' };
    const app = new App(start('KILL', [process.execPath, main, ...args], options));
    this.#apps.push(app);
    return app;
  }

  /** @param {string} role @param {Record<string, string>} [env] */
  serve(role, env) {
    return this.spawn([role], env).listening();
  }

  /** Runs to the end. @param {string[]} args @param {Record<string, string>} [env] @param {string} [main] */
  async run(args, env, main) {
    const app = this.spawn(args, env, main);
    return { code: await app.ended, output: app.output };
  }

  get output() {
    return this.#apps.map(({ output }) => output).join('');
  }

  async stop() {
    await Promise.all(this.#apps.map((app) => app.stop('SIGKILL')));
    await this.servers.stop();
  }
}
