/** An RSA private key of the bare numbers, as OpenSSH and OpenPGP keep it. */

import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** Big-endian, with zeros in front or without. */
export interface RsaNumbers {
  readonly n: Uint8Array
  readonly e: Uint8Array
  readonly d: Uint8Array
  readonly p: Uint8Array
  readonly q: Uint8Array
}

/** @returns Undefined when the numbers are not those of one key. */
export function rsaKeyOf(numbers: RsaNumbers): KeyObject | undefined {
  const [n, e, d, p, q] = [numbers.n, numbers.e, numbers.d, numbers.p, numbers.q].map(toBigInt)
  if (!n || !e || !d || !p || !q || p * q !== n || p === 1n || q === 1n) return undefined
  // RFC 8017 §3.2; OpenPGP's own coefficient is that of the two primes the other way round.
  const values = { n, e, d, p, q, dp: d % (p - 1n), dq: d % (q - 1n), qi: inverse(q, p) }
  const jwk = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toBase64url(value)]))
  try {
    return createPrivateKey({ key: { kty: 'RSA', ...jwk }, format: 'jwk' })
  } catch {
    return undefined
  }
}

/** Modulo a prime, by Euclid's algorithm. */
function inverse(value: bigint, prime: bigint): bigint {
  let [a, b] = [prime, value % prime]
  let [before, current] = [0n, 1n]
  while (b > 1n) {
    const quotient = a / b
    ;[a, b] = [b, a - quotient * b]
    ;[before, current] = [current, before - quotient * current]
  }
  return ((current % prime) + prime) % prime
}

function toBigInt(bytes: Uint8Array): bigint {
  return BigInt(`0x0${Buffer.from(bytes).toString('hex')}`)
}

function toBase64url(value: bigint): string {
  const hex = value.toString(16)
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex').toString('base64url')
}
