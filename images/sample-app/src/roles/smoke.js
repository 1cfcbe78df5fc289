import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';

const REQUEST_MILLISECONDS = 10_000;
/** Even at the end of a wait, an answer gets as long as a probe gives it. */
const SHORTEST_MILLISECONDS = 2000;
const JOB_MILLISECONDS = 30_000;
const RETRY_MILLISECONDS = 250;
const WAIT_SECONDS = 60;
const LONGEST_WAIT_SECONDS = 600;
const USAGE =
  'usage: main.js smoke --url URL [--jobs] [--realtime-url URL] [--expect-version VERSION] [--wait SECONDS]';

const text = /** @type {const} */ ({ type: 'string' });
const OPTIONS = {
  url: text,
  jobs: /** @type {const} */ ({ type: 'boolean', default: false }),
  'realtime-url': text,
  'expect-version': text,
  wait: { ...text, default: String(WAIT_SECONDS) },
};

/**
 * Uses the platform as a user does, one line per check, and takes its account away again.
 *
 * What it asks may still be starting, or wait for what it needs: for `--wait` seconds (60 unless told) it need
 * not be healthy. Without `--jobs` no worker need run: a job is only queued, and taken back.
 *
 * @param {string[]} args
 * @returns {Promise<number>} 0 when everything works, 1 at the first check that fails, 2 when misused.
 */
export async function smoke(args) {
  let options;
  try {
    options = parseArgs({ args, options: OPTIONS }).values;
    for (const url of [options.url ?? '', options['realtime-url'] ?? 'http://unset']) new URL(url);
    if (!/^\d+$/.test(options.wait) || Number(options.wait) > LONGEST_WAIT_SECONDS) {
      throw new Error(`--wait is ${options.wait}, not a whole number from 0 to ${LONGEST_WAIT_SECONDS}`);
    }
  } catch (error) {
    console.error(`${/** @type {Error} */ (error).message}\n${USAGE}`);
    return 2;
  }
  const visit = new Visit(/** @type {string} */ (options.url));
  let code = 0;
  try {
    await check('health', () => visit.healthy(Number(options.wait)));
    await visit.site(options['expect-version']);
    if (options.jobs) await check('job', () => visit.job(randomUUID()));
    else await check('job queued', () => visit.queued(randomUUID()));
    if (options['realtime-url']) await visit.sockets(options['realtime-url']);
  } catch {
    code = 1;
  }
  try {
    await visit.leave();
  } catch {
    code = 1;
  }
  return code;
}

class Visit {
  #token = '';

  /** @param {string} url */
  constructor(url) {
    this.url = url.replace(/\/$/, '');
  }

  /** Waits until it is healthy. @param {number} seconds */
  async healthy(seconds) {
    const end = Date.now() + seconds * 1000;
    for (;;) {
      try {
        const { status, checks } = await this.#ask('GET', '/health', [200, 503], undefined, end - Date.now());
        if (status === 'up') return;
        const down = Object.keys(checks).filter((name) => checks[name].status !== 'up');
        throw new Error(`the status is ${[status, ...down].join(', ')}`);
      } catch (error) {
        if (Date.now() + RETRY_MILLISECONDS >= end) throw error;
      }
      await sleep(RETRY_MILLISECONDS);
    }
  }

  /** @param {string} [version] */
  async site(version) {
    const account = { email: `smoke-${randomUUID()}@example.invalid`, password: randomUUID() };
    await check('version', async () => {
      const found = await this.#ask('GET', '/version', 200);
      if (version && found.version !== version) throw new Error(`it is ${found.version}, not ${version}`);
    });
    await check('signup', async () => {
      this.#token = (await this.#ask('POST', '/auth/signup', 201, account)).token;
    });
    await check('login', async () => {
      this.#token = (await this.#ask('POST', '/auth/login', 200, account)).token;
    });
    await check('item', async () => {
      const { id } = await this.#ask('POST', '/items', 201, { name: 'smoke' });
      const { items } = await this.#ask('GET', '/items', 200);
      if (items.length !== 1 || items[0].id !== id) throw new Error('the new item is not listed');
    });
  }

  /** Queues a job, finds it, and takes it back, unless a worker was faster. @param {string} text */
  async queued(text) {
    const { id } = await this.#ask('POST', '/jobs', 202, { text });
    await this.#ask('GET', `/jobs/${id}`, 200);
    await this.#ask('DELETE', `/jobs/${id}`, [204, 409]);
  }

  /** Has a job done. @param {string} text */
  async job(text) {
    const { id } = await this.#ask('POST', '/jobs', 202, { text });
    const end = Date.now() + JOB_MILLISECONDS;
    let job;
    do {
      job = await this.#ask('GET', `/jobs/${id}`, 200);
      if (job.state === 'completed') {
        if (job.result.digest === createHash('sha256').update(text).digest('hex')) return;
        throw new Error('the result is wrong');
      }
      await sleep(200);
    } while (Date.now() < end);
    throw new Error(`it is ${job.state} after ${JOB_MILLISECONDS / 1000} s`);
  }

  /** @param {string} url */
  async sockets(url) {
    const room = `smoke-${randomUUID()}`;
    /** @type {import('socket.io-client').Socket[]} */
    const sockets = [];
    try {
      for (const transport of ['websocket', 'polling']) {
        await check(`socket echo (${transport})`, async () => {
          const socket = io(url, {
            transports: [transport],
            auth: { token: this.#token },
            reconnection: false,
            forceNew: true,
          });
          sockets.push(socket);
          await heard(socket, 'connect');
          const text = randomUUID();
          const answer = await socket.timeout(REQUEST_MILLISECONDS).emitWithAck('echo', text);
          if (answer !== text) throw new Error('the answer is not what was said');
        });
      }
      await check('socket room', async () => {
        const [speaker, listener] = sockets;
        for (const socket of sockets) await socket.timeout(REQUEST_MILLISECONDS).emitWithAck('join', room);
        const said = heard(listener, 'said');
        await speaker.timeout(REQUEST_MILLISECONDS).emitWithAck('say', { room, text: 'hello' });
        if ((await said).text !== 'hello') throw new Error('what was heard is not what was said');
      });
    } finally {
      for (const socket of sockets) socket.disconnect();
    }
  }

  async leave() {
    if (this.#token) await check('account removed', () => this.#ask('DELETE', '/account', 204));
  }

  /** @param {string} method @param {string} path @param {number | number[]} expected @param {object} [body] @param {number} [milliseconds] @returns {Promise<any>} */
  async #ask(method, path, expected, body, milliseconds = REQUEST_MILLISECONDS) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(this.#token && { authorization: `Bearer ${this.#token}` }),
      },
      body: body && JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(Math.max(SHORTEST_MILLISECONDS, Math.min(milliseconds, REQUEST_MILLISECONDS))),
    });
    const text = await response.text();
    if (![expected].flat().includes(response.status))
      throw new Error(`${method} ${path} answered ${response.status}, not ${[expected].flat().join(' or ')}`);
    if (text === '') return undefined;
    try {
      return JSON.parse(text);
    } catch {
      throw new Error(`${method} ${path} answered ${response.status} with something else than JSON`);
    }
  }
}

/** @param {string} name @param {() => Promise<unknown>} run */
async function check(name, run) {
  const started = Date.now();
  try {
    await run();
    console.log(`ok    ${name} (${Date.now() - started} ms)`);
  } catch (error) {
    const { message, cause } = /** @type {Error} */ (error);
    const reason = cause instanceof Error ? `${message}: ${cause.message}` : message;
    console.log(`FAIL  ${name}: ${reason}`);
    throw error;
  }
}

/**
 * @param {import('socket.io-client').Socket} socket
 * @param {string} event
 * @returns {Promise<any>}
 */
function heard(socket, event) {
  return new Promise((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`no ${event} in ${REQUEST_MILLISECONDS} ms`)), REQUEST_MILLISECONDS);
    /** @param {() => void} settle */
    const done = (settle) => {
      clearTimeout(late);
      settle();
    };
    socket.once(event, (value) => done(() => resolve(value)));
    socket.once('connect_error', (error) => done(() => reject(error)));
  });
}
