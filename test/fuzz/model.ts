/**
 * A second opinion on containers: where each ends, by SPEC §5.3 and §6.3, from the bytes and from what the lab knows.
 * Shares no code with the library: it knows which stanzas and bodies were made, and that nothing else opens.
 */

import { createHash } from 'node:crypto'

import { contexts, latin1, readersByNumber } from './lab.ts'
import type { Lab } from './lab.ts'
import { opened, refused } from './trial.ts'
import type { End } from './trial.ts'

export type Kind = 'K' | 'R' | 'E'

/** A body as it was sealed. */
export interface SealedBody {
  readonly bytes: Uint8Array
  readonly plaintext: Uint8Array
  readonly dataKey: number
  readonly context: number
}

/** Who reads, with what: indices into the lab's lists. */
export interface Reading {
  readonly reader: number
  readonly context: number
  readonly suites: number
}

interface Framed {
  readonly keyId: string
  readonly stanzas: readonly Uint8Array[]
  readonly authenticated: Uint8Array
  readonly mac: Uint8Array
  readonly body: Uint8Array
}

const known = new Map([
  [0x647a_0001_0002, 1190],
  [0x0051_0002_0002, 1735],
])

/** The model's answer for a WrappedKey or an Envelope. The output is the data key, or the plaintext. */
export function modelOfHeader(
  bytes: Uint8Array,
  kind: 'K' | 'E',
  reading: Reading,
  lab: Lab,
  sealed?: SealedBody,
): End {
  const framed = frame(bytes, kind, reading.suites)
  if ('step' in framed) return framed
  const candidates = framed.stanzas.filter((stanza) => lengthOf(stanza, reading.suites) !== undefined)
  if (candidates.length === 0) return refused('7 no known suite', 'unsupported', true)
  const ours = candidates.find((stanza) => ownerOf(stanza, reading.reader, lab))
  if (ours === undefined) return refused('7 not ours', 'not_a_recipient', true)
  const made = lab.byBytes.get(latin1(ours))
  if (made === undefined || made.context !== reading.context || keyIdOf(lab, made.boundTo) !== framed.keyId)
    return refused('7 stanza', 'cannot_open', true)
  if (keyIdOf(lab, made.holds) !== framed.keyId) return refused('8 key id', 'cannot_open', true)
  const label = Buffer.from('longhold/v1/header\0')
  const mac = lab.mac(made.holds, [label, framed.authenticated, canonicalBytes(reading.context)])
  if (latin1(mac) !== latin1(framed.mac)) return refused('9 header MAC', 'cannot_open', true)
  if (kind === 'K') return opened(lab.dataKeys[made.holds] ?? new Uint8Array())
  return modelOfBody(framed.body, made.holds, reading.context, sealed)
}

/** The model's answer for a Record. */
export function modelOfRecord(
  bytes: Uint8Array,
  { dataKey, context }: { dataKey: number; context: number },
  lab: Lab,
  sealed: SealedBody,
): End {
  const prefix = checkPrefix(bytes, 'R')
  if (prefix !== undefined) return prefix
  if (bytes.length < 92) return refused('6 too short', 'malformed')
  if (latin1(bytes.subarray(4, 20)) !== keyIdOf(lab, dataKey)) return refused('key id', 'cannot_open', true)
  return modelOfBody(bytes.subarray(20), dataKey, context, sealed)
}

function modelOfBody(
  body: Uint8Array,
  dataKey: number,
  context: number,
  sealed: SealedBody | undefined,
): End {
  const fits = sealed !== undefined && sealed.dataKey === dataKey && sealed.context === context
  if (!fits || latin1(body.subarray(0, 56)) !== latin1(sealed.bytes.subarray(0, 56)))
    return refused('body commitment', 'cannot_open', true)
  if (latin1(body) !== latin1(sealed.bytes)) return refused('body chunks', 'cannot_open', true)
  return opened(sealed.plaintext)
}

/** Steps 1 to 6. */
export function frame(bytes: Uint8Array, kind: Kind, suites: number): Framed | End {
  const prefix = checkPrefix(bytes, kind)
  if (prefix !== undefined) return prefix
  const header = bytes.subarray(4)
  const count = header[16]
  if (count === undefined || count < 1 || count > 32) return refused('2 stanza count', 'malformed')
  const stanzas: Uint8Array[] = []
  let at = 17
  for (let i = 0; i < count; i++) {
    const [high, low] = header.subarray(at, at + 2)
    if (high === undefined || low === undefined) return refused('3 stanza length', 'malformed')
    const stanza = header.subarray(at + 2, at + 2 + high * 256 + low)
    const length = lengthOf(stanza, suites)
    if (stanza.length < high * 256 + low || stanza.length < 22) return refused('3 stanza length', 'malformed')
    if (length !== undefined && length !== stanza.length) return refused('3 stanza length', 'malformed')
    stanzas.push(stanza)
    at += 2 + stanza.length
  }
  if (at + 32 > 65_536) return refused('4 header length', 'malformed')
  const ids = new Set(stanzas.map((stanza) => latin1(stanza.subarray(6, 22))))
  if (ids.size < stanzas.length) return refused('5 recipient twice', 'malformed')
  const behind = header.length - at - 32
  if (kind === 'K' ? behind !== 0 : behind < 72) return refused('6 end', 'malformed')
  return {
    keyId: latin1(header.subarray(0, 16)),
    stanzas,
    authenticated: header.subarray(0, at),
    mac: header.subarray(at, at + 32),
    body: header.subarray(at + 32),
  }
}

function checkPrefix(bytes: Uint8Array, kind: Kind): End | undefined {
  if (latin1(bytes.subarray(0, 3)) !== `LH${kind}` || bytes.length < 4) return refused('1 magic', 'malformed')
  return bytes[3] === 1 ? undefined : refused('1 version', 'unsupported')
}

/** The length a stanza must have; `undefined` when its suite is not known to the reader. */
function lengthOf(stanza: Uint8Array, suites: number): number | undefined {
  if (stanza.length < 6) return undefined
  const view = new DataView(stanza.buffer, stanza.byteOffset)
  const triple = view.getUint16(0) * 2 ** 32 + view.getUint32(2)
  return suites === 1 && triple !== 0x647a_0001_0002 ? undefined : known.get(triple)
}

function ownerOf(stanza: Uint8Array, reader: number, lab: Lab): boolean {
  const kem = (stanza[0] ?? 0) * 256 + (stanza[1] ?? 0)
  const id = latin1(stanza.subarray(6, 22))
  return (readersByNumber[reader] ?? []).some((person) => {
    const recipient = lab.recipientIds[person]
    return recipient?.kem === kem && latin1(recipient.id) === id
  })
}

function keyIdOf(lab: Lab, dataKey: number): string {
  return latin1(lab.keyIds[dataKey] ?? new Uint8Array())
}

const canonical = contexts.map((pairs) => {
  const lp16 = (text: string) => Buffer.concat([Buffer.of(text.length >> 8, text.length), Buffer.from(text)])
  return Buffer.concat([Buffer.of(0, pairs.length), ...pairs.flat().map(lp16)])
})

export function canonicalBytes(context: number): Uint8Array {
  return canonical[context] ?? new Uint8Array()
}

export function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}
