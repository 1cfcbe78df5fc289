import { createHash } from 'node:crypto';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const NAME = /^\d{4}_[a-z0-9_]+\.sql$/;

/** @typedef {{ name: string, sql: string, checksum: string }} Migration */
/** @typedef {{ name: string, checksum: string }} Applied */

/**
 * The migrations of a folder, in order.
 *
 * @param {string} folder
 * @returns {Migration[]}
 */
export function readMigrations(folder) {
  return readdirSync(folder)
    .filter((name) => name.endsWith('.sql'))
    .sort()
    .map((name) => {
      const sql = readFileSync(join(folder, name), 'utf8');
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    });
}

/**
 * What is left to apply, and why it may not be.
 *
 * A migration that was applied and is not here is no fault: the release before must be able to return.
 *
 * @param {Migration[]} migrations
 * @param {Applied[]} applied
 */
export function planMigrations(migrations, applied) {
  const done = new Map(applied.map(({ name, checksum }) => [name, checksum]));
  const here = new Set(migrations.map(({ name }) => name));
  const last =
    [...done.keys()]
      .filter((name) => here.has(name))
      .sort()
      .at(-1) ?? '';
  const faults = [];
  const pending = [];
  const numbers = new Map();
  for (const migration of migrations) {
    const { name, checksum } = migration;
    const number = name.slice(0, 4);
    if (!NAME.test(name)) faults.push(`${name}: its name is not like 0001_what_it_does.sql`);
    else if (numbers.has(number)) faults.push(`${name}: has the number of ${numbers.get(number)}`);
    numbers.set(number, name);
    if (done.has(name)) {
      if (done.get(name) !== checksum) faults.push(`${name}: was changed after it was applied`);
    } else {
      if (name < last) faults.push(`${name}: comes before ${last}, which is applied`);
      pending.push(migration);
    }
  }
  return { pending, faults, unknown: [...done.keys()].filter((name) => !here.has(name)) };
}
