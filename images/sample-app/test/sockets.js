// Socket.IO clients through an entrance, for tests of the platform: `sockets.js '{"url", "port", "address", "ca",
// "certificate", "token", "client", "cookies"}'` prints what they met as one line of JSON, and keeps them until its stdin ends.
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { io } from 'socket.io-client';

const CLIENTS = 4;
const ECHOES = 5;
const MILLISECONDS = 10_000;

const { url, port, address = '127.0.0.1', ca, certificate, token, client, cookies } = JSON.parse(process.argv[2]);
/** What the client shows of itself, if anything: a certificate and its key. */
const [cert, key] = certificate.map((/** @type {string} */ file) => readFileSync(file));

/** Every name leads to the entrance. */
const agent = new Agent({
  ca: readFileSync(ca),
  cert,
  key,
  lookup: (_, { all }, found) =>
    all ? found(null, [{ address, family: 4 }]) : found(null, address, 4),
});

/** @param {Record<string, unknown>} options @returns {Promise<import('socket.io-client').Socket>} */
async function connected(options) {
  const socket = io(`${url}:${port}`, {
    agent: /** @type {any} */ (agent),
    auth: { token },
    extraHeaders: { 'x-forwarded-for': client },
    reconnection: false,
    forceNew: true,
    ...options,
  });
  await new Promise((resolve, reject) => socket.once('connect', () => resolve(0)).once('connect_error', reject));
  return socket;
}

/** @param {import('socket.io-client').Socket} socket */
async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name !== 'websocket') {
    await new Promise((resolve, reject) => engine.once('upgrade', resolve).once('close', reject));
  }
  return engine.transport.name;
}

/** How many of so many answers came. @param {import('socket.io-client').Socket} socket */
async function echoes(socket) {
  let right = 0;
  for (let number = 0; number < ECHOES; number += 1) {
    if ((await socket.timeout(MILLISECONDS).emitWithAck('echo', number)) === number) right += 1;
  }
  return right;
}

/** Clients who keep no cookie: how many of them get through. */
async function strangers() {
  let through = 0;
  for (let number = 0; number < CLIENTS; number += 1) {
    try {
      const socket = await connected({ transports: ['polling'] });
      const gone = new Promise((_, reject) => socket.once('disconnect', reject));
      await Promise.race([echoes(socket), gone]);
      gone.catch(() => {});
      socket.disconnect();
      through += 1;
    } catch {
      // One of its requests came to a pod that does not know it.
    }
  }
  return through;
}

/** Clients who keep cookies, half of them by polling alone, the others upgraded. */
async function acquaintances() {
  const known = { withCredentials: true };
  const polling = [];
  const upgrading = [];
  const upgrades = [];
  for (let number = 0; number < CLIENTS; number += 1) {
    polling.push(await connected({ ...known, transports: ['polling'] }));
    const socket = await connected(known);
    upgrading.push(socket);
    upgrades.push(await upgraded(socket));
  }
  const all = [...polling, ...upgrading];
  const answered = await Promise.all(all.map(echoes));
  for (const socket of all) await socket.timeout(MILLISECONDS).emitWithAck('join', 'room');
  const heard = all.map((socket) => new Promise((resolve) => socket.once('said', ({ text }) => resolve(text))));
  await upgrading[0].timeout(MILLISECONDS).emitWithAck('say', { room: 'room', text: 'hello' });
  process.stdin.resume().once('end', () => {
    for (const socket of all) socket.disconnect();
    agent.destroy();
  });
  return {
    polling: polling.map((socket) => socket.io.engine.transport.name),
    upgrades,
    echoes: answered.map((right) => right === ECHOES),
    heard: await Promise.all(heard),
  };
}

console.log(JSON.stringify(cookies ? await acquaintances() : { tried: CLIENTS, through: await strangers() }));
// Answers that strangers will never get would be waited for.
if (!cookies) process.exit();
