import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { seldom } from './log.js';

const SEND_MILLISECONDS = 3000;
/** Reports that may be under way at once: what comes on top is counted and dropped, for errors come in floods. */
const MOST_AT_ONCE = 10;
/** How long nothing is sent after an answer that says so without saying how long. */
const PAUSE_SECONDS = 60;
const FRAME = /^\s*at (?:(?<function>.+?) \()?(?<file>[^()]+?):(?<line>\d+):(?<column>\d+)\)?$/;
const DEPTH = 5;

/**
 * Where a DSN leads: the address that takes envelopes, and the key that they are sent with.
 *
 * @param {string} dsn `https://<key>@<host>/<project>`
 * @throws {Error} that says what is wrong, and nothing of the DSN.
 * Source: https://develop.sentry.dev/sdk/foundations/transport/authentication/
 */
export function parseDsn(dsn) {
  const url = URL.canParse(dsn) ? new URL(dsn) : null;
  const [, prefix, project] = url?.pathname.match(/^(.*)\/(\d+)$/) ?? [];
  if (!url || !/^https?:$/.test(url.protocol) || !url.username || !project) {
    throw new Error('no DSN such as https://<key>@<host>/<project>');
  }
  return { address: `${url.protocol}//${url.host}${prefix}/api/${project}/envelope/`, key: url.username };
}

/** @param {string} text */
function isDsn(text) {
  try {
    return Boolean(parseDsn(text));
  } catch {
    return false;
  }
}

/**
 * Errors as Sentry takes them, by its envelopes over HTTP. Of a request its method and route are told, and
 * nothing that a user sent; of an error of the database not what it quotes of a row.
 *
 * @param {{ dsn?: import('./secrets.js').SecretFile, environment: string, release: string, role: string }} to
 * @param {import('./log.js').Log} log
 */
export function createErrors({ dsn, environment, release, role }, log) {
  const complain = seldom(log, 'an error could not be reported');
  /** @type {Set<Promise<void>>} */
  const underway = new Set();
  let dropped = 0;
  let quietUntil = 0;
  // A wrong DSN is told, and stops nobody: the product serves without reports too.
  if (dsn && !isDsn(dsn.value)) log.warn('errors are not reported: SENTRY_DSN_FILE holds no DSN');

  /** @param {object} event */
  async function send(event) {
    try {
      const { address, key } = parseDsn(/** @type {import('./secrets.js').SecretFile} */ (dsn).value);
      const answer = await fetch(address, {
        method: 'POST',
        headers: {
          'content-type': 'application/x-sentry-envelope',
          'x-sentry-auth': `Sentry sentry_version=7, sentry_client=sample-app/1.0, sentry_key=${key}`,
        },
        body: envelope(event),
        signal: AbortSignal.timeout(SEND_MILLISECONDS),
      });
      await answer.arrayBuffer();
      if (answer.status === 429) {
        quietUntil = Date.now() + (Number(answer.headers.get('retry-after')) || PAUSE_SECONDS) * 1000;
      }
      if (!answer.ok) throw new Error(`the answer is ${answer.status}`);
    } catch (error) {
      complain(/** @type {Error} */ (error));
    }
  }

  return {
    /**
     * Tells of an error, in the background. It never throws: who reports has enough to do.
     *
     * @param {unknown} error
     * @param {{ level?: 'fatal' | 'error' | 'warning', tags?: Record<string, string | undefined> }} [about]
     */
    report(error, { level = 'error', tags = {} } = {}) {
      if (!dsn) return;
      if (underway.size >= MOST_AT_ONCE || Date.now() < quietUntil) {
        dropped += 1;
        return;
      }
      const event = {
        event_id: randomUUID().replaceAll('-', ''),
        timestamp: Date.now() / 1000,
        platform: 'node',
        level,
        environment,
        release,
        server_name: hostname(),
        tags: { ...tags, role },
        extra: dropped > 0 ? { dropped_before: dropped } : undefined,
        exception: { values: chain(error) },
      };
      dropped = 0;
      const sent = send(event).finally(() => underway.delete(sent));
      underway.add(sent);
    },
    /** Waits for what is under way; that takes `SEND_MILLISECONDS` at the most. */
    flush: async () => void (await Promise.all(underway)),
  };
}

/** @typedef {ReturnType<typeof createErrors>} Errors */

/**
 * An envelope with one event. Source: https://develop.sentry.dev/sdk/foundations/envelopes/
 *
 * @param {object} event
 */
function envelope(event) {
  const payload = JSON.stringify(event);
  const { event_id } = /** @type {{ event_id: string }} */ (event);
  return [
    JSON.stringify({ event_id, sent_at: new Date().toISOString() }),
    JSON.stringify({ type: 'event', content_type: 'application/json', length: Buffer.byteLength(payload) }),
    `${payload}\n`,
  ].join('\n');
}

/**
 * The error and what caused it, the first cause first.
 *
 * @param {unknown} error
 */
function chain(error) {
  const values = [];
  let each = error;
  do {
    values.unshift(
      each instanceof Error
        ? { type: each.name, value: each.message, stacktrace: { frames: frames(each.stack ?? '') } }
        : { type: typeof each, value: 'not an error' },
    );
    each = each instanceof Error ? each.cause : undefined;
  } while (each !== undefined && values.length < DEPTH);
  return values;
}

/**
 * The innermost call last, as Sentry wants them.
 *
 * @param {string} stack
 */
function frames(stack) {
  return stack
    .split('\n')
    .flatMap((line) => {
      const { groups } = line.match(FRAME) ?? {};
      return groups
        ? {
            function: groups.function ?? '<anonymous>',
            filename: groups.file.replace('file://', ''),
            lineno: Number(groups.line),
            colno: Number(groups.column),
            in_app: !/node:|node_modules/.test(groups.file),
          }
        : [];
    })
    .reverse();
}
