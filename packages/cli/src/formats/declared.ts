/**
 * Layouts that somebody built by hand: a wrapped key, an initialization vector, a tag and a ciphertext, each in a
 * column, in a member of JSON, or at one end of another part. Nothing is guessed: the declaration says it all.
 */

import { createHash } from 'node:crypto'

import { prepareBody, saltedMark } from './declared-body.ts'
import type { OpenBody } from './declared-body.ts'
import { isTold, layoutColumns, ownPlaces, wrappedKeyPlaces } from './declared-layout.ts'
import type { DeclaredLayout } from './declared-layout.ts'
import { Parts } from './declared-parts.ts'
import { decodeText } from './encodings.ts'
import { fernetVersion } from './fernet.ts'
import { cannotOpen, LegacyError, malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { Cell, LegacyFormat, LegacyValue, PrivateKey, PrivateKeys } from './legacy-format.ts'
import { fitsWitness } from './witness.ts'

/**
 * @param columns Names of the cells that `recognize` will be given; the value to be replaced is the first.
 * @throws RangeError when the layout needs another one.
 */
export function declaredFormat(layout: DeclaredLayout, columns: readonly string[]): LegacyFormat {
  const indexOf = (column: string): number => {
    const index = columns.indexOf(column)
    if (index < 0) throw new RangeError(`no column ${column}`)
    return index
  }
  const { own, read } = layoutColumns(layout)
  for (const column of [...own, ...read]) indexOf(column)
  const needed = ownPlaces(layout)
  const parts = new Parts(indexOf)
  return {
    name: layout.name,
    recognize(cells) {
      // Other JSON in the column is not taken for it, nor is a body that begins differently.
      if (!needed.every((place) => parts.isThere(place, cells))) return undefined
      if (!hasWrappedKey(layout, parts, cells)) return undefined
      return beginsRightly(layout, parts, cells) ? valueOf(layout, parts, cells) : undefined
    },
  }
}

function hasWrappedKey({ wrappedKey }: DeclaredLayout, parts: Parts, cells: readonly Cell[]): boolean {
  if (wrappedKey === undefined) return true
  if ('byKeyId' in wrappedKey) return parts.membersOf(wrappedKey.byKeyId, cells).size > 0
  return wrappedKeyPlaces(wrappedKey).some((place) => parts.isThere(place, cells))
}

/** Of ciphers whose bodies begin with the same bytes. */
function beginsRightly(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): boolean {
  const start =
    layout.cipher === 'fernet'
      ? Buffer.from([fernetVersion])
      : layout.password === undefined
        ? undefined
        : saltedMark
  return start === undefined || parts.startsWith(layout.ciphertext, cells, start)
}

function valueOf(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): LegacyValue {
  return {
    keyId: keyIdOf(layout, parts, cells),
    wrapping: wrappingOf(layout),
    body: bodyOf(layout),
    isAuthenticated: isTold(layout),
    open: (keys) => open(layout, parts, cells, keys),
  }
}

function wrappingOf({ padding }: DeclaredLayout): string {
  if (padding === 'pkcs1') return 'RSA pkcs1'
  const { hash, mgf1Hash } = padding
  return `RSA-OAEP ${hash}${mgf1Hash === hash ? '' : `, MGF1 ${mgf1Hash}`}`
}

function bodyOf({ cipher, password, mac, witness, tagBytes = 16 }: DeclaredLayout): string {
  return [
    cipher === 'rsa' ? 'RSA over the data' : cipher,
    ...(password === undefined ? [] : ['password']),
    ...(tagBytes === 16 ? [] : [`tag of ${tagBytes} bytes`]),
    ...(mac === undefined ? [] : [`HMAC ${mac.hash}`]),
    ...(witness === undefined ? [] : [`witness ${witness.kind}`]),
  ].join(', ')
}

/** One wrapping of the data key, or of the data. */
interface Wrapped {
  readonly keyId: string | undefined
  readonly bytes: () => Uint8Array
}

/** Of all recipients that a value has. */
function wrappedIn(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): readonly Wrapped[] {
  const { wrappedKey } = layout
  const keyId = layout.keyId === undefined ? undefined : parts.textOf(layout.keyId, cells)
  if (wrappedKey === undefined) return [{ keyId, bytes: () => new Uint8Array() }]
  if ('column' in wrappedKey) {
    return [{ keyId, bytes: () => parts.bytesOf(wrappedKey, cells, 'wrapped key') }]
  }
  if ('byKeyId' in wrappedKey) {
    const { encoding } = wrappedKey.byKeyId
    return [...parts.membersOf(wrappedKey.byKeyId, cells)].map(([name, text]) => ({
      keyId: name,
      bytes() {
        const bytes = encoding === 'binary' ? undefined : decodeText(text, encoding)
        if (bytes === undefined) throw malformed(`the wrapped key is not ${encoding}`)
        return bytes
      },
    }))
  }
  return wrappedKey
    .filter(({ place }) => parts.isThere(place, cells))
    .map((one) => ({ keyId: one.keyId, bytes: () => parts.bytesOf(one.place, cells, 'wrapped key') }))
}

function keyIdOf(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): string | undefined {
  return wrappedIn(layout, parts, cells)[0]?.keyId
}

function open(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[], keys: PrivateKeys): Uint8Array {
  const wrapped = wrappedIn(layout, parts, cells)
  if (layout.cipher === 'rsa') return openBlocks(layout, parts, cells, keys, wrapped)
  const openBody = prepareBody(layout, parts, cells)
  for (const [key, bytes] of meantKeys(layout, keys, wrapped)) {
    const unwrapped = unwrapWith(layout, key, bytes)
    if (unwrapped === undefined) continue
    const plaintext = openWith(layout, unwrapped, key, openBody)
    if (plaintext !== undefined && isWitnessed(layout, parts, cells, plaintext)) return plaintext
    plaintext?.fill(0)
  }
  throw cannotOpen()
}

function unwrapWith({ padding }: DeclaredLayout, key: PrivateKey, bytes: Uint8Array): Uint8Array | undefined {
  return padding === 'pkcs1' ? key.unwrapPkcs1(bytes) : key.unwrapOaep(bytes, padding)
}

/** Wipes what was unwrapped. */
function openWith(
  layout: DeclaredLayout,
  unwrapped: Uint8Array,
  key: PrivateKey,
  openBody: OpenBody,
): Uint8Array | undefined {
  const dataKey = spelt(layout, unwrapped)
  try {
    return dataKey === undefined ? undefined : openBody(dataKey, (bytes) => unwrapWith(layout, key, bytes))
  } finally {
    unwrapped.fill(0)
    dataKey?.fill(0)
  }
}

/** The data key, where it was wrapped as text; programs leave a line end behind it. */
function spelt({ dataKeyEncoding }: DeclaredLayout, unwrapped: Uint8Array): Uint8Array | undefined {
  if (dataKeyEncoding === undefined) return unwrapped
  const text = Buffer.from(unwrapped)
    .toString('latin1')
    .replace(/\r?\n$/, '')
  return decodeText(text, dataKeyEncoding)
}

/** Several keys, or recipients, are tried only where a wrong one cannot pass. */
function meantKeys(
  layout: DeclaredLayout,
  keys: PrivateKeys,
  wrapped: readonly Wrapped[],
): readonly (readonly [PrivateKey, Uint8Array])[] {
  const pairs = wrapped.flatMap(({ keyId, bytes }) =>
    keys.candidates(keyId).map((key) => [key, bytes()] as const),
  )
  if (pairs.length === 0) {
    throw new LegacyError('no_private_key', 'no private key is meant by its key id')
  }
  if (pairs.length > 1 && !isTold(layout)) {
    throw new LegacyError(
      'unauthenticated',
      'several private keys could be meant, and nothing would tell a wrong one',
    )
  }
  const fitting = pairs.filter(([key, bytes]) => key.modulusBytes === bytes.length)
  if (fitting.length === 0) {
    const sizes = [...new Set(pairs.map(([{ modulusBytes }]) => modulusBytes))].join(' or ')
    throw malformed(`the wrapped key has ${pairs[0]?.[1].length ?? 0} bytes, the private key wants ${sizes}`)
  }
  return fitting
}

/** RSA over the data itself: blocks as long as the key, one after the other. */
function openBlocks(
  layout: DeclaredLayout,
  parts: Parts,
  cells: readonly Cell[],
  keys: PrivateKeys,
  wrapped: readonly Wrapped[],
): Uint8Array {
  const ciphertext = parts.bytesOf(layout.ciphertext, cells, 'ciphertext')
  const candidates = wrapped.flatMap(({ keyId }) => keys.candidates(keyId))
  if (candidates.length === 0)
    throw new LegacyError('no_private_key', 'no private key is meant by its key id')
  if (candidates.length > 1 && !isTold(layout)) {
    throw new LegacyError(
      'unauthenticated',
      'several private keys could be meant, and nothing would tell a wrong one',
    )
  }
  const fits = ({ modulusBytes }: PrivateKey) =>
    ciphertext.length > 0 && ciphertext.length % modulusBytes === 0
  if (!candidates.some(fits)) throw malformed('the ciphertext is not a number of whole RSA blocks')
  if (ciphertext.length > 2 * maxPlaintextBytes) throw tooLarge()
  for (const key of candidates.filter(fits)) {
    const plaintext = openWithKey(layout, key, ciphertext)
    if (plaintext !== undefined && isWitnessed(layout, parts, cells, plaintext)) return plaintext
    plaintext?.fill(0)
  }
  throw cannotOpen()
}

function openWithKey(
  layout: DeclaredLayout,
  key: PrivateKey,
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  const blocks: Uint8Array[] = []
  try {
    for (let at = 0; at < ciphertext.length; at += key.modulusBytes) {
      const block = unwrapWith(layout, key, ciphertext.subarray(at, at + key.modulusBytes))
      if (block === undefined) return undefined
      blocks.push(block)
    }
    return Buffer.concat(blocks)
  } finally {
    for (const block of blocks) block.fill(0)
  }
}

function isWitnessed(
  { witness }: DeclaredLayout,
  parts: Parts,
  cells: readonly Cell[],
  plaintext: Uint8Array,
): boolean {
  if (witness === undefined) return true
  if (witness.kind === 'json') return fitsWitness({ json: true }, plaintext)
  if (witness.kind === 'text') return fitsWitness({ text: true }, plaintext)
  if (witness.kind === 'starts-with') {
    return Buffer.from(witness.bytes).equals(plaintext.subarray(0, witness.bytes.length))
  }
  const expected = parts.bytesOf(witness.place, cells, 'witness')
  return createHash(witness.kind).update(plaintext).digest().equals(expected)
}
