import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { createService } from '../service.js';

const PUBLIC = new URL('../../public/', import.meta.url).pathname;
/** A name that holds a digest of its content never changes its content. */
const HASHED = /\.[0-9a-f]{8}\.\w+$/;
const IMMUTABLE = 'public, max-age=31536000, immutable';
const REVALIDATE = 'no-cache';

/** @type {Record<string, string>} */
const TYPES = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** Every file of the folder by its path: only what is listed can be asked for. */
export function publicFiles(folder = PUBLIC) {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return entries.map((entry) => {
    const file = join(entry.parentPath, entry.name);
    const content = readFileSync(file);
    return {
      path: `/${file.slice(folder.length)}`.replace(/\/index\.html$/, '/'),
      content,
      type: TYPES[extname(file)] ?? 'application/octet-stream',
      etag: `"${createHash('sha256').update(content).digest('hex').slice(0, 32)}"`,
      cacheControl: HASHED.test(file) ? IMMUTABLE : REVALIDATE,
    };
  });
}

/** @param {import('../service.js').Context} context */
export async function start(context) {
  const { config } = context;
  const service = createService(context);
  const { app } = service;
  const policy = [
    "default-src 'self'",
    ["connect-src 'self'", ...config.connectTo].join(' '),
    "frame-ancestors 'none'",
    "base-uri 'none'",
    "form-action 'self'",
  ].join('; ');
  app.addHook('onSend', async (_, reply) => {
    reply.header('content-security-policy', policy);
    reply.header('referrer-policy', 'strict-origin-when-cross-origin');
  });
  for (const { path, content, type, etag, cacheControl } of publicFiles()) {
    app.get(path, async (request, reply) => {
      reply.header('cache-control', cacheControl).header('etag', etag);
      if (request.headers['if-none-match'] === etag) return reply.code(304).send();
      return reply.type(type).send(content);
    });
  }
  // Where the page finds its API: the same image serves every environment.
  app.get('/config.json', async (_, reply) => {
    const api = config.connectTo.find((origin) => origin.startsWith('http')) ?? '';
    return reply.header('cache-control', 'no-store').send({ api });
  });
  await service.start();
}
