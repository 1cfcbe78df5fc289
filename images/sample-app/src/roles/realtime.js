import { setTimeout as sleep } from 'node:timers/promises';
import { createAdapter } from '@socket.io/redis-adapter';
import { Redis } from 'ioredis';
import { Server } from 'socket.io';
import { userOf } from '../auth.js';
import { cacheOptions } from '../cache.js';
import { seldom } from '../log.js';
import { askedGauge } from '../metrics.js';
import { createService } from '../service.js';

const ROOM = /^[\w-]{1,64}$/;
const MESSAGE_BYTES = 100_000;
/** Of the time that is left, what the goodbyes are spread over; the rest is for the last requests. */
const SHARE_OF_GOODBYES = 0.7;
/** What the other pods take without trouble, so that a pod with few clients need not wait. */
const GOODBYES_PER_SECOND = 50;

/** @param {import('../service.js').Context} context */
export async function start(context) {
  const { config, log, lifecycle } = context;
  const service = createService(context);
  const { app, registry, checks } = service;
  const jwt = /** @type {import('../config.js').JwtConfig} */ (config.jwt);
  const publish = new Redis(cacheOptions(/** @type {import('../config.js').CacheConfig} */ (config.cache)));
  const subscribe = publish.duplicate();
  for (const client of [publish, subscribe]) client.on('error', seldom(log, 'the cache does not answer'));
  checks.cache = () => Promise.all([publish.ping(), subscribe.ping()]);

  const io = new Server(app.server, {
    adapter: createAdapter(publish, subscribe),
    // The cookie that keeps a client on its pod must come along from the page's origin.
    cors: { origin: config.corsOrigins, credentials: true },
    maxHttpBufferSize: MESSAGE_BYTES,
    serveClient: false,
    // Asked of new clients alone: those who are here go on until their goodbye.
    allowRequest: (_, decide) => decide(lifecycle.draining ? 'stopping' : null, !lifecycle.draining),
  });
  io.use(async (socket, next) => {
    const { token } = socket.handshake.auth;
    socket.data.user = typeof token === 'string' ? await userOf(jwt, token) : undefined;
    next(socket.data.user ? undefined : new Error('not signed in'));
  });
  io.on('connection', (socket) => converse(io, socket));
  askedGauge(
    registry,
    { name: 'websocket_connections', help: 'Connected clients, those by long polling included.' },
    (gauge) => gauge.set(io.engine.clientsCount),
  );

  lifecycle.atStop('goodbyes', (left) => goodbyes(io, left * SHARE_OF_GOODBYES));
  await service.start();
  lifecycle.atStop('cache', () => {
    publish.disconnect();
    subscribe.disconnect();
  });
}

/**
 * What a client may say. Every event is answered through its acknowledgement.
 *
 * @param {Server} io
 * @param {import('socket.io').Socket} socket
 */
function converse(io, socket) {
  /** @param {string} event @param {(payload: any) => unknown} answer */
  const on = (event, answer) =>
    socket.on(event, async (payload, acknowledge) => {
      if (typeof acknowledge !== 'function') return;
      try {
        acknowledge(await answer(payload));
      } catch (error) {
        acknowledge({ error: /** @type {Error} */ (error).message });
      }
    });
  on('echo', (payload) => payload);
  on('join', async (room) => {
    if (typeof room !== 'string' || !ROOM.test(room)) throw new Error('not the name of a room');
    await socket.join(room);
    return { joined: room };
  });
  on('leave', async (room) => {
    await socket.leave(room);
    return { left: room };
  });
  on('say', (said) => {
    const { room, text } = said ?? {};
    if (!socket.rooms.has(room)) throw new Error('not in this room');
    io.to(room).emit('said', { room, text, from: socket.data.user });
    return { said: true };
  });
}

/**
 * Ends every client's connection, spread over `seconds`, so that they don't all come back at once. The
 * connection is closed below Socket.IO: clients told to disconnect would not reconnect by themselves.
 *
 * @param {Server} io
 * @param {number} seconds
 */
async function goodbyes(io, seconds) {
  const sockets = [...io.of('/').sockets.values()];
  const spread = Math.min(seconds, sockets.length / GOODBYES_PER_SECOND);
  const pause = (spread * 1000) / Math.max(1, sockets.length);
  const started = Date.now();
  for (const [index, socket] of sockets.entries()) {
    await sleep(Math.max(0, started + index * pause - Date.now()));
    socket.conn.close();
  }
  // Those who connected but never came as far as a session.
  await sleep(50);
  io.engine.close();
}
