/** The bodies of declared layouts, taken apart before a key is touched. */

import { createHash, createHmac, pbkdf2Sync, timingSafeEqual } from 'node:crypto'

import { cbcIvBytes, gcmIvBytes, gcmTagBytes, openCbc, openCtr, openGcm } from './aes.ts'
import { keyBytesOf, layoutMode } from './declared-layout.ts'
import type { DeclaredLayout, Mac, PasswordLine } from './declared-layout.ts'
import type { Parts } from './declared-parts.ts'
import { openFernet, readFernet } from './fernet.ts'
import { malformed, maxPlaintextBytes, tooLarge } from './legacy-format.ts'
import type { Cell } from './legacy-format.ts'

/** Decrypts with what RSA gave. Undefined when the key is not the right one, as far as that shows. */
export type OpenBody = (
  unwrapped: Uint8Array,
  unwrap: (wrapped: Uint8Array) => Uint8Array | undefined,
) => Uint8Array | undefined

/** @throws LegacyError `malformed`, `limit_exceeded` */
export function prepareBody(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): OpenBody {
  if (layout.cipher === 'fernet') {
    const token = readFernet(parts.bytesOf(layout.ciphertext, cells, 'token'))
    return (key) => openFernet(key, token)
  }
  return layout.password === undefined
    ? keyedBody(layout, parts, cells)
    : passwordBody(layout, layout.password, parts, cells)
}

interface Sections {
  /** Undefined: it is wrapped. */
  readonly iv: Uint8Array | undefined
  readonly wrappedIv: Uint8Array | undefined
  readonly ciphertext: Uint8Array
  readonly tag: Uint8Array
  readonly mac: Uint8Array | undefined
}

function keyedBody(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): OpenBody {
  const sections = sectionsOf(layout, parts, cells)
  const { ciphertext, mac } = sections
  checkCiphertext(layout, ciphertext)
  const aad = parts.joined(layout.aad, cells)
  return (unwrapped, unwrap) => {
    const keys = splitKey(layout, unwrapped)
    const iv = sections.iv ?? unwrap(sections.wrappedIv ?? new Uint8Array())
    if (keys === undefined || iv === undefined || !hasIvLength(layout, iv)) return undefined
    if (layout.mac !== undefined && mac !== undefined) {
      const covered = { iv, ciphertext, aad }
      if (!isMacOf(layout.mac, keys.macKey, covered, mac)) return undefined
    }
    const { key } = keys
    const mode = layoutMode(layout)
    if (mode === 'gcm') {
      return openGcm({
        key,
        iv,
        ciphertext,
        tag: sections.tag,
        aad,
        tagBytes: layout.tagBytes ?? gcmTagBytes,
      })
    }
    return mode === 'ctr' ? openCtr(key, iv, ciphertext) : openCbc(key, iv, ciphertext)
  }
}

function sectionsOf(layout: DeclaredLayout, parts: Parts, cells: readonly Cell[]): Sections {
  let rest = parts.bytesOf(layout.ciphertext, cells, 'ciphertext')
  let iv: Uint8Array | undefined
  let wrappedIv: Uint8Array | undefined
  if (layout.iv === 'front') {
    const ivBytes = layoutMode(layout) === 'gcm' ? gcmIvBytes : cbcIvBytes
    if (rest.length < ivBytes) throw malformed('the ciphertext is shorter than the vector in front of it')
    iv = rest.subarray(0, ivBytes)
    rest = rest.subarray(ivBytes)
  } else if (layout.iv === 'none') throw malformed('the vector is missing')
  else if ('wrapped' in layout.iv) wrappedIv = parts.bytesOf(layout.iv.wrapped, cells, 'wrapped vector')
  else iv = parts.bytesOf(layout.iv, cells, 'iv')
  if (iv !== undefined && !hasIvLength(layout, iv))
    throw malformed(`the initialization vector ${ivRule(layout)}`)

  const fromEnd = (bytes: number, what: string): Uint8Array => {
    if (rest.length < bytes) throw malformed(`the ciphertext is shorter than the ${what} at its end`)
    const end = rest.subarray(rest.length - bytes)
    rest = rest.subarray(0, rest.length - bytes)
    return end
  }
  const { mac: declared } = layout
  let mac: Uint8Array | undefined
  if (declared !== undefined) {
    mac =
      declared.place === 'end' ? fromEnd(declared.bytes, 'MAC') : parts.bytesOf(declared.place, cells, 'MAC')
    if (mac.length !== declared.bytes) throw malformed(`the MAC has not ${declared.bytes} bytes`)
  }
  let tag = new Uint8Array()
  if (layoutMode(layout) === 'gcm') {
    const { tagBytes = gcmTagBytes } = layout
    if (layout.tag === 'none') throw malformed('the tag is missing')
    tag = Uint8Array.from(
      layout.tag === 'end' ? fromEnd(tagBytes, 'tag') : parts.bytesOf(layout.tag, cells, 'tag'),
    )
    // Node takes other lengths too: a shorter one is easier to forge, so that it has to be declared.
    if (tag.length !== tagBytes) throw malformed(`the authentication tag has not ${tagBytes} bytes`)
  }
  return { iv, wrappedIv, ciphertext: rest, tag, mac }
}

/** 96 bits are the rule for GCM; other lengths are allowed by SP 800-38D §5.2.1.1 and do occur (16 bytes). */
function hasIvLength(layout: DeclaredLayout, { length }: Uint8Array): boolean {
  return layoutMode(layout) === 'gcm' ? length >= gcmIvBytes && length <= 64 : length === cbcIvBytes
}

function ivRule(layout: DeclaredLayout): string {
  return layoutMode(layout) === 'gcm' ? 'has not 12 to 64 bytes' : 'has not 16 bytes'
}

function checkCiphertext(layout: DeclaredLayout, { length }: Uint8Array): void {
  if (layoutMode(layout) === 'cbc' && (length === 0 || length % 16 !== 0))
    throw malformed('the ciphertext is not a number of whole blocks')
  if (length > maxPlaintextBytes + 16) throw tooLarge()
}

function splitKey(
  layout: DeclaredLayout,
  unwrapped: Uint8Array,
): { readonly key: Uint8Array; readonly macKey: Uint8Array } | undefined {
  const keyBytes = keyBytesOf(layout)
  const { mac } = layout
  if (mac === undefined || mac.key === 'same') {
    return unwrapped.length === keyBytes ? { key: unwrapped, macKey: unwrapped } : undefined
  }
  if (unwrapped.length !== keyBytes + mac.keyBytes) return undefined
  return mac.key === 'behind'
    ? { key: unwrapped.subarray(0, keyBytes), macKey: unwrapped.subarray(keyBytes) }
    : { key: unwrapped.subarray(mac.keyBytes), macKey: unwrapped.subarray(0, mac.keyBytes) }
}

function isMacOf(
  { hash, bytes, covers }: Mac,
  macKey: Uint8Array,
  covered: Readonly<Record<Mac['covers'][number], Uint8Array>>,
  mac: Uint8Array,
): boolean {
  const hmac = createHmac(hash, macKey)
  for (const part of covers) hmac.update(covered[part])
  return timingSafeEqual(hmac.digest().subarray(0, bytes), mac)
}

/** `openssl enc` writes it before salt and ciphertext. */
export const saltedMark = Buffer.from('Salted__')
const saltBytes = 8

function passwordBody(
  layout: DeclaredLayout,
  line: PasswordLine,
  parts: Parts,
  cells: readonly Cell[],
): OpenBody {
  const bytes = parts.bytesOf(layout.ciphertext, cells, 'ciphertext')
  const head = saltedMark.length + saltBytes
  if (bytes.length < head || !saltedMark.equals(bytes.subarray(0, saltedMark.length)))
    throw malformed('the ciphertext does not begin with Salted__')
  const salt = bytes.subarray(saltedMark.length, head)
  const ciphertext = bytes.subarray(head)
  checkCiphertext(layout, ciphertext)
  return (unwrapped) => {
    // `-pass file:` reads the first line.
    const end = unwrapped.indexOf(0x0a)
    const password = end < 0 ? unwrapped : unwrapped.subarray(0, end)
    const keyBytes = keyBytesOf(layout)
    const derived = derive(line, password, salt, keyBytes + cbcIvBytes)
    const [key, iv] = [derived.subarray(0, keyBytes), derived.subarray(keyBytes)]
    try {
      return layoutMode(layout) === 'ctr' ? openCtr(key, iv, ciphertext) : openCbc(key, iv, ciphertext)
    } finally {
      derived.fill(0)
    }
  }
}

function derive(
  { digest, iterations }: PasswordLine,
  password: Uint8Array,
  salt: Uint8Array,
  bytes: number,
): Buffer {
  if (iterations !== undefined) return pbkdf2Sync(password, salt, iterations, bytes, digest)
  const blocks: Buffer[] = []
  for (let size = 0; size < bytes;) {
    const hash = createHash(digest)
    for (const part of [blocks.at(-1) ?? new Uint8Array(), password, salt]) hash.update(part)
    const block = hash.digest()
    blocks.push(block)
    size += block.length
  }
  const all = Buffer.concat(blocks)
  for (const block of blocks) block.fill(0)
  return all.subarray(0, bytes)
}
