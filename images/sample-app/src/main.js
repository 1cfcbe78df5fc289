import { ConfigError, loadConfig } from './config.js';
import { createErrors } from './errors.js';
import { Lifecycle } from './lifecycle.js';
import { createLog } from './log.js';
import { startTracing } from './traces.js';

const EXIT_FAILED = 1;
const EXIT_MISUSED = 2;

/** The roles that serve or migrate; each takes its context. */
const ROLES = {
  api: () => import('./roles/api.js'),
  web: () => import('./roles/web.js'),
  realtime: () => import('./roles/realtime.js'),
  worker: () => import('./roles/worker.js'),
  migrate: () => import('./roles/migrate.js'),
};

/** @param {import('./config.js').Role} role */
async function run(role) {
  const log = createLog({ role, version: process.env.VERSION || 'dev', level: process.env.LOG_LEVEL });
  try {
    const config = loadConfig(role, process.env);
    const lifecycle = new Lifecycle({ drainSeconds: config.drainSeconds, log });
    const errors = createErrors({ ...config.errors, role }, log);
    for (const event of ['uncaughtException', 'unhandledRejection']) {
      process.on(event, (err) => {
        log.fatal({ err }, event);
        errors.report(err, { level: 'fatal', tags: { event } });
        void errors.flush().then(() => process.exit(EXIT_FAILED));
      });
    }
    const traces = startTracing(process.env, log);
    const { start } = await ROLES[role]();
    const code = await start({ config, log, lifecycle, errors });
    lifecycle.atStop('errors', errors.flush);
    lifecycle.atStop('traces', traces.end);
    if (typeof code === 'number') process.exit(code);
    lifecycle.listen();
  } catch (err) {
    const misused = err instanceof ConfigError;
    log.fatal(misused ? { faults: err.faults } : { err }, misused ? err.message : 'the start failed');
    process.exit(misused ? EXIT_MISUSED : EXIT_FAILED);
  }
}

const [role = '', ...args] = process.argv.slice(2);
if (role === 'smoke') {
  const { smoke } = await import('./roles/smoke.js');
  process.exit(await smoke(args));
} else if (Object.hasOwn(ROLES, role)) {
  await run(/** @type {import('./config.js').Role} */ (role));
} else {
  console.error(`usage: main.js ${[...Object.keys(ROLES), 'smoke'].join('|')}`);
  process.exit(EXIT_MISUSED);
}
