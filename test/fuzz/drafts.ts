/**
 * A container in parts, the mutations that know them, and the writer that mends counts, lengths and MACs: so that most
 * of what is tried gets past the framing and meets what stands behind it.
 */

import { contexts, latin1 } from './lab.ts'
import type { KnownStanza, Lab } from './lab.ts'
import { canonicalBytes } from './model.ts'
import type { Kind, SealedBody } from './model.ts'
import { flipped, mutateBytes } from './mutate.ts'
import type { Random } from './random.ts'

export interface Draft {
  kind: Kind
  version: number
  /** Of which the key id is taken, unless that was changed. */
  dataKey: number
  keyId: Uint8Array
  context: number
  stanzas: Uint8Array[]
  /** What is written instead of the true count. */
  count: number | undefined
  /** What is added to the length of the first stanza. */
  lengthError: number
  mac: 'right' | 'of another key' | 'of another context' | 'flipped'
  body: Uint8Array
}

/** The one with the second suite comes seldom: her key costs twenty times as much to use. */
const people = [0, 0, 0, 0, 0, 0, 1, 2, 2, 2]

/** A valid one. */
export function draftOf(kind: Kind, random: Random, lab: Lab, sealed?: SealedBody): Draft {
  const dataKey = sealed?.dataKey ?? random.below(2)
  const context = sealed?.context ?? random.below(contexts.length)
  const known = lab.stanzas.filter(
    (one) => one.boundTo === dataKey && one.holds === dataKey && one.context === context,
  )
  const first = random.pick(people)
  const wanted = random.pick([1, 1, 1, 2, 3])
  const stanzas = Array.from({ length: wanted }, (_, i) => bytesOf(known[(first + i) % known.length]))
  if (random.chance(0.15)) stanzas.splice(random.below(stanzas.length + 1), 0, unknownStanza(random))
  const keyId = lab.keyIds[dataKey] ?? new Uint8Array()
  const body = sealed?.bytes ?? new Uint8Array()
  return {
    kind,
    version: 1,
    dataKey,
    keyId,
    context,
    stanzas,
    count: undefined,
    lengthError: 0,
    mac: 'right',
    body,
  }
}

/** The bytes, everything mended that the draft does not want broken. */
export function write(draft: Draft, lab: Lab): Uint8Array {
  const prefix = Uint8Array.of(0x4c, 0x48, draft.kind.charCodeAt(0), draft.version)
  if (draft.kind === 'R') return Buffer.concat([prefix, draft.keyId, draft.body])
  const stanzas = draft.stanzas.flatMap((stanza, i) => {
    const length = stanza.length + (i === 0 ? draft.lengthError : 0)
    return [Uint8Array.of(length >> 8, length), stanza]
  })
  const authenticated = Buffer.concat([
    draft.keyId,
    Uint8Array.of(draft.count ?? draft.stanzas.length),
    ...stanzas,
  ])
  return Buffer.concat([prefix, authenticated, macOf(draft, authenticated, lab), draft.body])
}

function macOf(draft: Draft, authenticated: Uint8Array, lab: Lab): Uint8Array {
  const dataKey = draft.mac === 'of another key' ? 1 - draft.dataKey : draft.dataKey
  const context = draft.mac === 'of another context' ? (draft.context + 1) % contexts.length : draft.context
  const mac = lab.mac(dataKey, [Buffer.from('longhold/v1/header\0'), authenticated, canonicalBytes(context)])
  if (draft.mac === 'flipped') mac[0] = (mac[0] ?? 0) ^ 1
  return mac
}

/** One change to the header that a writer of headers could make. */
export function mutateHeader(draft: Draft, random: Random, lab: Lab): void {
  const { stanzas } = draft
  const i = random.below(stanzas.length)
  const stanza = stanzas[i] ?? new Uint8Array(22)
  switch (random.below(21)) {
    case 0:
      draft.keyId = flipped(draft.keyId, random)
      break
    case 1:
      draft.keyId = random.pick(lab.keyIds)
      break
    case 2:
    case 3: // somewhere in the encapsulated key or the wrapped data key
      stanzas[i] = withPart(stanza, 22, flipped(stanza.subarray(22), random))
      break
    case 4: // the recipient's id
      stanzas[i] = withPart(stanza, 6, flipped(stanza.subarray(6, 22), random))
      break
    case 5: // the suite
      stanzas[i] = withPart(stanza, 0, random.pick(suiteIds))
      break
    case 6:
    case 7:
      stanzas.splice(random.below(stanzas.length + 1), 0, unknownStanza(random))
      break
    case 8:
      stanzas.splice(random.below(stanzas.length + 1), 0, stanza)
      break
    case 9:
      if (stanzas.length > 1) stanzas.splice(i, 1)
      break
    case 10:
      stanzas.reverse()
      break
    case 11:
    case 12: // one that was made for another key, context or person
      stanzas[i] = bytesOf(random.pick(lab.stanzas))
      break
    case 13: // one that holds another data key than the header's, which is the one of the MAC
      stanzas[i] = bytesOf(random.pick(lab.stanzas.filter((one) => one.boundTo !== one.holds)))
      draft.mac = 'of another key'
      break
    case 14:
      stanzas.push(bytesOf(random.pick(lab.stanzas)))
      break
    case 15:
      stanzas[i] = stanza.subarray(0, random.pick([0, 6, 21, 22, 23, stanza.length - 1]))
      break
    case 16: // many small ones, one of them perhaps too many; or large ones, perhaps too large together
      if (random.chance(0.7)) fill(draft, 30 + random.below(4), () => 22 + random.below(4), random)
      else fill(draft, stanzas.length + 2, () => 31_000 + random.below(3000), random)
      break
    case 17:
      draft.count = random.pick([0, 1, 2, 32, 33, 255])
      break
    case 18:
      draft.lengthError = random.pick([-1, 1, 22 - stanza.length, 0xffff - stanza.length])
      break
    case 19:
      draft.mac = random.pick(['of another key', 'of another context', 'flipped'])
      break
    default:
      if (random.chance(0.5)) draft.version = random.pick([0, 2, 255])
      else draft.kind = random.pick(['K', 'R', 'E'])
  }
}

const suiteIds = ['647a00010002', '005100020002', '647a00020002', '005100010002', '777700010002'].map((id) =>
  Buffer.from(id, 'hex'),
)

/** One change to the body. Chunks are known by where they are. */
export function mutateBody(body: Uint8Array, random: Random): Uint8Array {
  const full = Math.floor(Math.max(0, body.length - 56) / 16_400)
  const chunk = (i: number) => body.subarray(56 + 16_400 * i, 56 + 16_400 * (i + 1))
  switch (random.below(9)) {
    case 0:
      return withPart(body, 0, flipped(body.subarray(0, 24), random))
    case 1:
      return withPart(body, 24, flipped(body.subarray(24, 56), random))
    case 2:
    case 3:
      return withPart(body, 56, flipped(body.subarray(56), random))
    case 4: // cut at a chunk's end: the final chunk is missing
      return body.subarray(0, 56 + 16_400 * random.below(full + 1))
    case 5:
      return body.subarray(0, random.chance(0.5) ? random.below(100) : body.length - 1 - random.below(20))
    case 6: // a chunk more, or one less
      return random.chance(0.5)
        ? Buffer.concat([body.subarray(0, 56), chunk(0), body.subarray(56)])
        : Buffer.concat([body.subarray(0, 56), body.subarray(56 + 16_400)])
    case 7: // the first two chunks exchanged
      return Buffer.concat([body.subarray(0, 56), chunk(1), chunk(0), body.subarray(56 + 2 * 16_400)])
    default:
      return mutateBytes(body, random)
  }
}

function unknownStanza(random: Random): Uint8Array {
  return Buffer.concat([Uint8Array.of(0x77, random.u32(), 0, 1, 0, 2), random.bytes(16 + random.below(60))])
}

function fill(draft: Draft, count: number, length: () => number, random: Random): void {
  while (draft.stanzas.length < count) {
    const stanza = new Uint8Array(length())
    stanza.set([0x77, 0x77, 0, 1, 0, 2])
    stanza.set(random.bytes(16), 6)
    draft.stanzas.splice(random.below(draft.stanzas.length + 1), 0, stanza)
  }
}

function withPart(bytes: Uint8Array, at: number, part: Uint8Array): Uint8Array {
  const copy = new Uint8Array(Math.max(bytes.length, at + part.length))
  copy.set(bytes)
  copy.set(part, at)
  return copy
}

function bytesOf(stanza: KnownStanza | undefined): Uint8Array {
  if (stanza === undefined) throw new Error('the lab has no such stanza')
  return stanza.bytes
}

/** Whether two byte strings are the same. */
export const same = (a: Uint8Array, b: Uint8Array) => latin1(a) === latin1(b)
