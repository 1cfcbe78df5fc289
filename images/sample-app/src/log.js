import pino from 'pino';

const SECRET_FIELDS = ['password', 'token', 'secret', 'authorization', 'cookie'];

export const REDACTED = [
  ...SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]),
  '*["set-cookie"]',
  '*.*["set-cookie"]',
  // PostgreSQL quotes the values of a row here.
  'err.detail',
  'err.where',
  'err.parameters',
];

/**
 * Structured logs: one JSON object a line.
 *
 * @param {{ role: string, version: string, level?: string }} about
 * @param {import('pino').DestinationStream} [destination]
 */
export function createLog({ role, version, level = 'info' }, destination) {
  return pino(
    {
      level,
      base: { role, version },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: REDACTED, censor: '[redacted]' },
      serializers: {
        // Neither headers nor the query: both carry credentials.
        req: (request) => ({
          id: request.id,
          method: request.method,
          path: request.url?.split('?')[0],
          client: request.ip,
        }),
        res: (reply) => ({ status: reply.statusCode }),
      },
    },
    destination ?? pino.destination({ fd: 1, sync: true }),
  );
}

const QUIET_MILLISECONDS = 10_000;

/**
 * A handler of errors that come again with every attempt: it tells one every 10 seconds.
 *
 * @param {Log} log
 * @param {string} message
 */
export function seldom(log, message) {
  let next = 0;
  return (/** @type {Error} */ { message: reason }) => {
    if (Date.now() < next) return;
    next = Date.now() + QUIET_MILLISECONDS;
    log.warn({ reason }, message);
  };
}

/** @typedef {import('pino').Logger} Log */
