// The servers alone, for tests of the platform: prints what the application is told of them, or what is missing,
// and ends with its stdin.
import { World } from './app.js';
import { missing } from './servers.js';

/** @param {object} told */
const tell = (told) => console.log(JSON.stringify(told));

if (missing) {
  tell({ missing });
} else {
  const world = new World();
  process.stdin.resume().once('end', async () => {
    await world.stop();
    process.exit(0);
  });
  await world.start();
  tell({ env: world.env });
}
