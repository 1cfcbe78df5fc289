import { createHash, randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { io } from 'socket.io-client';

const REQUEST_MILLISECONDS = 10_000;
const JOB_MILLISECONDS = 30_000;
const USAGE = 'usage: main.js smoke --url URL [--realtime-url URL] [--expect-version VERSION]';

/**
 * Uses the platform as a user does, one line per check, and takes its account away again.
 *
 * @param {string[]} args
 * @returns {Promise<number>} 0 when everything works, 1 at the first check that fails, 2 when misused.
 */
export async function smoke(args) {
  let options;
  try {
    const text = /** @type {const} */ ({ type: 'string' });
    options = parseArgs({ args, options: { url: text, 'realtime-url': text, 'expect-version': text } }).values;
    for (const url of [options.url ?? '', options['realtime-url'] ?? 'http://unset']) new URL(url);
  } catch (error) {
    console.error(`${/** @type {Error} */ (error).message}\n${USAGE}`);
    return 2;
  }
  const visit = new Visit(/** @type {string} */ (options.url));
  let code = 0;
  try {
    await visit.site(options['expect-version']);
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

  /** @param {string} [version] */
  async site(version) {
    const account = { email: `smoke-${randomUUID()}@example.invalid`, password: randomUUID() };
    await check('health', async () => {
      const { status } = await this.#ask('GET', '/health', 200);
      if (status !== 'up') throw new Error(`the status is ${status}`);
    });
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
    await check('job', () => this.#job(randomUUID()));
  }

  /** @param {string} text */
  async #job(text) {
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

  /** @param {string} method @param {string} path @param {number} expected @param {object} [body] @returns {Promise<any>} */
  async #ask(method, path, expected, body) {
    const response = await fetch(this.url + path, {
      method,
      headers: {
        ...(body && { 'content-type': 'application/json' }),
        ...(this.#token && { authorization: `Bearer ${this.#token}` }),
      },
      body: body && JSON.stringify(body),
      redirect: 'error',
      signal: AbortSignal.timeout(REQUEST_MILLISECONDS),
    });
    const text = await response.text();
    if (response.status !== expected) throw new Error(`${method} ${path} answered ${response.status}, not ${expected}`);
    return text === '' ? undefined : JSON.parse(text);
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
