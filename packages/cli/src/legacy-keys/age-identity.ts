/** Identities of age (C2SP age.md, "X25519"): `AGE-SECRET-KEY-1…`, one a line, comments between them. */

import { createPrivateKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

import { PrivateKeyError } from './private-key-error.ts'

const mark = 'AGE-SECRET-KEY-1'

/** True when a line of a text begins like one. */
export function hasAgeIdentity(text: string): boolean {
  return text.split('\n').some((line) => line.startsWith(mark))
}

/** @throws PrivateKeyError when one of them is mistyped. */
export function readAgeIdentities(text: string): KeyObject[] {
  const lines = text.split('\n').map((line) => line.trim())
  return lines.filter((line) => line !== '' && !line.startsWith('#')).map(readIdentity)
}

/** PrivateKeyInfo of X25519 (RFC 8410 §7) up to the 32 bytes. */
const pkcs8Front = Buffer.from('302e020100300506032b656e04220420', 'hex')

function readIdentity(line: string): KeyObject {
  const seed = line.startsWith(mark) ? decodeBech32(line) : undefined
  if (seed?.length !== 32) throw new PrivateKeyError('not_a_key', 'it has a line that is no identity of age')
  const der = Buffer.concat([pkcs8Front, seed])
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  } finally {
    der.fill(0)
    seed.fill(0)
  }
}

const alphabet = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l'
const generators = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3]

/** Bech32 (BIP 173) in upper case. @returns Undefined when its checksum does not fit. */
function decodeBech32(text: string): Buffer | undefined {
  const lower = text.toLowerCase()
  if (text !== text.toUpperCase()) return undefined
  const at = lower.lastIndexOf('1')
  const words = lower
    .slice(at + 1)
    .split('')
    .map((char) => alphabet.indexOf(char))
  if (words.length < 6 || words.includes(-1)) return undefined
  const codes = [...Buffer.from(lower.slice(0, at), 'latin1')]
  const checked = [...codes.map((code) => code >> 5), 0, ...codes.map((code) => code & 31), ...words]
  let sum = 1
  for (const word of checked) {
    const top = sum >>> 25
    sum = ((sum & 0x1ffffff) << 5) ^ word
    for (const [bit, generator] of generators.entries()) if ((top >> bit) & 1) sum ^= generator
  }
  if (sum !== 1) return undefined
  const bytes: number[] = []
  let bits = 0
  let rest = 0
  for (const word of words.slice(0, -6)) {
    rest = ((rest << 5) | word) & 0xfff
    bits += 5
    if (bits >= 8) {
      bits -= 8
      bytes.push((rest >> bits) & 0xff)
    }
  }
  return (rest & ((1 << bits) - 1)) === 0 ? Buffer.from(bytes) : undefined
}
