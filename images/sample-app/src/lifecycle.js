/** Of the drain time, what may pass before the process ends itself: its end must come before a kill. */
const SHARE_OF_DRAIN = 0.95;

/**
 * How a process stops: readiness fails first, then one step after another, all within the drain time.
 */
export class Lifecycle {
  draining = false;
  /** @type {{ name: string, run: (secondsLeft: number) => unknown }[]} */
  #steps = [];
  #options;

  /** @param {{ drainSeconds: number, log: import('./log.js').Log, exit?: (code: number) => void }} options */
  constructor(options) {
    this.#options = { exit: process.exit, ...options };
  }

  /**
   * Adds a step to the end.
   *
   * @param {string} name
   * @param {(secondsLeft: number) => unknown} run
   */
  atStop(name, run) {
    this.#steps.push({ name, run });
  }

  /** Stops at the signals by which a container is ended. */
  listen() {
    for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => void this.stop(signal));
  }

  /**
   * Runs every step, even after one that fails, and ends the process: with 0, or with 1 when something
   * failed or the time was over.
   *
   * @param {string} reason
   */
  async stop(reason) {
    if (this.draining) return;
    this.draining = true;
    const { drainSeconds, log, exit } = this.#options;
    const end = Date.now() + drainSeconds * 1000 * SHARE_OF_DRAIN;
    let current = '';
    let code = 0;
    log.info({ reason, drainSeconds }, 'stopping');
    const timer = setTimeout(() => {
      log.error({ step: current }, 'the drain time is over');
      exit(1);
    }, end - Date.now());
    for (const { name, run } of this.#steps) {
      current = name;
      try {
        await run(Math.max(0, (end - Date.now()) / 1000));
      } catch (err) {
        log.error({ err, step: name }, 'a step of the stop failed');
        code = 1;
      }
    }
    clearTimeout(timer);
    log.info('stopped');
    exit(code);
  }
}
