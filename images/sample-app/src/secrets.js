import { readFileSync, statSync } from 'node:fs';

/** A secret that lives in a file and may be replaced while the process runs. */
export class SecretFile {
  #path;
  #stamp = '';
  #value = '';

  /** @param {string} path */
  constructor(path) {
    this.#path = path;
    this.#read();
  }

  /** What the file holds now; what it last held while it is being replaced. */
  get value() {
    try {
      this.#read();
    } catch {
      // A mounted secret is swapped by moving links: for a moment there may be no file.
    }
    return this.#value;
  }

  #read() {
    const { ino, size, mtimeMs, ctimeMs } = statSync(this.#path);
    const stamp = `${ino}/${size}/${mtimeMs}/${ctimeMs}`;
    if (stamp === this.#stamp) return;
    const value = readFileSync(this.#path, 'utf8').trim();
    if (value === '') throw new Error('the file is empty');
    this.#value = value;
    this.#stamp = stamp;
  }
}
