import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { promisify } from 'node:util';
import { SignJWT, jwtVerify } from 'jose';

/** As strong as OWASP asks for: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html */
const COST = { N: 2 ** 15, r: 8, p: 3 };
const KEY_BYTES = 32;
const ISSUER = 'sample-app';
export const TOKEN_SECONDS = 3600;

const derive =
  /** @type {(password: string, salt: Buffer, length: number, options: import('node:crypto').ScryptOptions) => Promise<Buffer>} */ (
    promisify(scrypt)
  );

/** @param {string} password @param {Buffer} salt @param {{ N: number, r: number, p: number }} cost */
const hash = (password, salt, cost) => derive(password, salt, KEY_BYTES, { ...cost, maxmem: 256 * cost.N * cost.r });

/** @param {string} password */
export async function hashPassword(password) {
  const salt = randomBytes(16);
  const key = await hash(password, salt, COST);
  return ['scrypt', COST.N, COST.r, COST.p, salt.toString('base64'), key.toString('base64')].join('$');
}

/** Never matches; asked for unknown accounts, so that they take as long as known ones. */
const NOBODY = ['scrypt', COST.N, COST.r, COST.p, 'AAAAAAAAAAAAAAAAAAAAAA==', ''].join('$');

/** @param {string} password @param {string} [stored] */
export async function verifyPassword(password, stored = NOBODY) {
  const [, N, r, p, salt, expected] = stored.split('$');
  const key = await hash(password, Buffer.from(salt, 'base64'), { N: Number(N), r: Number(r), p: Number(p) });
  const wanted = Buffer.from(expected, 'base64');
  return key.length === wanted.length && timingSafeEqual(key, wanted);
}

/** @param {import('./secrets.js').SecretFile} secret */
const keyOf = (secret) => new TextEncoder().encode(secret.value);

/** @param {import('./config.js').JwtConfig} jwt @param {string} user */
export function issueToken(jwt, user) {
  return new SignJWT()
    .setProtectedHeader({ alg: 'HS256' })
    .setIssuer(ISSUER)
    .setSubject(user)
    .setIssuedAt()
    .setExpirationTime(`${TOKEN_SECONDS}s`)
    .sign(keyOf(jwt.secret));
}

/**
 * The user of a token signed with the secret or, while it is being replaced, with the one before or after:
 * pods of both kinds serve meanwhile.
 *
 * @param {import('./config.js').JwtConfig} jwt
 * @param {string} token
 * @returns {Promise<string | undefined>}
 */
export async function userOf(jwt, token) {
  for (const secret of [jwt.secret, jwt.previous, jwt.next]) {
    if (!secret) continue;
    try {
      const { payload } = await jwtVerify(token, keyOf(secret), { algorithms: ['HS256'], issuer: ISSUER });
      return payload.sub;
    } catch {
      // Not signed with this one, or no longer valid.
    }
  }
  return undefined;
}
