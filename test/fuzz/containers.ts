/** Wrapped keys, records and envelopes: in one piece, as streams in random pieces, and through random access. */

import {
  attach,
  decrypt,
  decryptRecordStream,
  decryptStream,
  detach,
  inspect,
  openEncrypted,
  openEncryptedRecord,
  unwrapDataKey,
} from '@longhold/core'
import type { DataKey } from '@longhold/core'

import { sealRecord } from '../../packages/core/src/keys/data-key.ts'
import { draftOf, mutateBody, mutateHeader, same, write } from './drafts.ts'
import { contexts, latin1, readerCount, suiteSets } from './lab.ts'
import type { Lab, World } from './lab.ts'
import { frame, modelOfHeader, modelOfRecord } from './model.ts'
import type { SealedBody } from './model.ts'
import { mutateBytes } from './mutate.ts'
import { Random } from './random.ts'
import { sliced, streamed } from './readers.ts'
import { asyncOutcomeOf, outcomeOf, refused } from './trial.ts'
import type { End, Input, Outcome, Target, Trial } from './trial.ts'
import { modelOfValue } from './value-model.ts'
import { makeValue, spelling } from './values.ts'

/** Plaintext of any length is cut from this. */
const pattern = new Random(7).bytes(50_000)

/** Ways to read what may be long. */
const how = { whole: 0, stream: 1, slices: 2 } as const

export const wrappedKey: Target = {
  name: 'wrapped key',
  weight: 14,
  make: (random, lab) => makeContainer('K', random, lab, undefined, how.whole),
  run: (input, world) => {
    checkInspect(input, 'K')
    return asyncOutcomeOf(async () => {
      const key = await unwrapDataKey(input.bytes, {
        ...readerOf(input, world),
        keyContext: contextOf(input),
      })
      return key.use((bytes) => new Uint8Array(bytes))
    })
  },
}

export const envelope: Target = {
  name: 'envelope',
  weight: 16,
  make: (random, lab) => makeContainer('E', random, lab, sealBody(random, lab), how.whole),
  run: (input, world) => {
    checkInspect(input, 'E')
    return asyncOutcomeOf(() =>
      decrypt(input.bytes, { ...readerOf(input, world), context: contextOf(input) }),
    )
  },
}

export const envelopeInParts: Target = {
  name: 'envelope, in parts',
  weight: 10,
  make: (random, lab) => makeContainer('E', random, lab, sealBody(random, lab), 1 + random.below(2)),
  run(input, world) {
    const options = { ...readerOf(input, world), context: contextOf(input) }
    const { bytes, args } = input
    if (args['how'] === how.stream) return streamed(() => decryptStream(options), input)
    return sliced(() => openEncrypted(new Blob([new Uint8Array(bytes)]), options), input)
  },
}

export const record: Target = {
  name: 'record',
  weight: 30,
  make: (random, lab) => makeRecord(random, lab, how.whole),
  run(input, world) {
    checkInspect(input, 'R')
    return outcomeOf(() => keyOf(input, world).decrypt(input.bytes, recordOptions(input)))
  },
}

export const recordInParts: Target = {
  name: 'record, in parts',
  weight: 8,
  make: (random, lab) => makeRecord(random, lab, 1 + random.below(2)),
  run(input, world): Promise<Outcome> {
    const options = recordOptions(input)
    const key = keyOf(input, world)
    if (input.args['how'] === how.stream) return streamed(() => decryptRecordStream(key, options), input)
    return sliced(() => openEncryptedRecord(new Blob([new Uint8Array(input.bytes)]), key, options), input)
  },
}

export const typedRecord: Target = {
  name: 'typed record',
  weight: 8,
  make(random, lab) {
    const plaintext = makeValue(random)
    const trial = makeRecord(random, lab, how.whole, sealBody(random, lab, { plaintext, bodyKind: 'value' }))
    const { expected } = trial
    if (expected.output === undefined) return trial
    return { ...trial, expected: { ...modelOfValue(expected.output), framed: true } }
  },
  run: (input, world) =>
    outcomeOf(() => spelling(keyOf(input, world).decryptValue(input.bytes, recordOptions(input)))),
}

/** The input's own bytes, in a trial of a wrapped key or an envelope. */
function makeContainer(
  kind: 'K' | 'E',
  random: Random,
  lab: Lab,
  sealed: SealedBody | undefined,
  way: number,
): Trial {
  const draft = draftOf(kind, random, lab, sealed)
  for (let n = random.pick([0, 1, 1, 1, 2]); n > 0; n--) {
    if (kind === 'E' && random.chance(0.4)) draft.body = mutateBody(draft.body, random)
    else mutateHeader(draft, random, lab)
  }
  let bytes = write(draft, lab)
  if (random.chance(0.08)) bytes = mutateBytes(bytes, random)
  const reading = {
    reader: random.chance(0.7) ? readerCount - 1 : random.below(readerCount),
    context: random.chance(0.9) ? draft.context : random.below(contexts.length),
    suites: random.chance(0.8) ? 0 : 1,
  }
  return {
    input: { bytes, args: { ...reading, how: way, pieces: random.u32() } },
    expected: modelOfHeader(bytes, kind, reading, lab, sealed),
  }
}

function makeRecord(random: Random, lab: Lab, way: number, sealed = sealBody(random, lab)): Trial {
  const draft = draftOf('R', random, lab, sealed)
  for (let n = random.pick([0, 1, 1, 1, 2]); n > 0; n--) {
    if (random.chance(0.75)) draft.body = mutateBody(draft.body, random)
    else if (random.chance(0.5)) draft.keyId = random.pick(lab.keyIds)
    else if (random.chance(0.3)) draft.version = random.pick([0, 2, 255])
    else draft.kind = random.pick(['K', 'R', 'E'])
  }
  let bytes = write(draft, lab)
  if (random.chance(0.1)) bytes = mutateBytes(bytes, random)
  const reading = {
    dataKey: random.chance(0.95) ? draft.dataKey : 1 - draft.dataKey,
    context: random.chance(0.9) ? draft.context : random.below(contexts.length),
  }
  return {
    input: { bytes, args: { ...reading, how: way, pieces: random.u32() } },
    expected: modelOfRecord(bytes, reading, lab, sealed),
  }
}

/** A body as a writer makes it: mostly short, sometimes around the end of a chunk. */
function sealBody(
  random: Random,
  lab: Lab,
  {
    plaintext = plaintextOf(random),
    bodyKind = 'data',
  }: { plaintext?: Uint8Array; bodyKind?: 'data' | 'value' } = {},
): SealedBody {
  const dataKey = random.below(2)
  const context = random.below(contexts.length)
  const key = lab.worlds.native.dataKeys[dataKey]
  if (key === undefined) throw new Error('no such data key')
  const options = { bodyKind, testingSalt: random.bytes(24) }
  const bytes = sealRecord(key, plaintext, contexts[context] ?? [], options).subarray(20)
  return { bytes, plaintext, dataKey, context }
}

function plaintextOf(random: Random): Uint8Array {
  const boundary = [16_383, 16_384, 16_385, 32_768, 40_000]
  const length = random.chance(0.06) ? random.pick(boundary) : random.pick([0, 1, random.below(300)])
  const at = random.below(1000)
  return pattern.subarray(at, at + length)
}

/** `inspect` reads no key: it says what the framing says. A detached envelope is attached to what it was. */
function checkInspect({ bytes, args }: Input, kind: 'K' | 'R' | 'E'): void {
  const suites = args['suites'] ?? 0
  const magic = /^LH([KRE])/.exec(latin1(bytes.subarray(0, 3)))?.[1] ?? kind
  const found = magic === 'K' || magic === 'E' ? magic : 'R'
  const expected = found === 'R' ? frameOfRecord(bytes) : frame(bytes, found, suites)
  const outcome = outcomeOf(() => {
    const { stanzas, totalBytes } = inspect(bytes, { suites: suiteSets[suites] ?? [] })
    return Uint8Array.of(stanzas.length, totalBytes & 255)
  })
  const code = 'code' in expected ? expected.code : 'opened'
  if (outcome.code !== code) throw new Error(`inspect: ${outcome.code} instead of ${code}`)
  if ('stanzas' in expected && outcome.output?.[0] !== expected.stanzas.length)
    throw new Error('inspect: another number of stanzas')
  if (kind === 'E' && 'stanzas' in frame(bytes, 'E', 1) && !same(attach(detach(bytes)), bytes))
    throw new Error('attach: not what was detached')
}

function frameOfRecord(bytes: Uint8Array): Pick<End, 'code'> | { stanzas: [] } {
  if (bytes.length < 4 || latin1(bytes.subarray(0, 3)) !== 'LHR') return refused('1 magic', 'malformed')
  if (bytes[3] !== 1) return refused('1 version', 'unsupported')
  return bytes.length < 92 ? refused('6 too short', 'malformed') : { stanzas: [] }
}

function readerOf({ args }: Input, world: World) {
  const identities = world.readers[args['reader'] ?? 0] ?? []
  return { identities, suites: suiteSets[args['suites'] ?? 0] ?? [] }
}

const contextOf = ({ args }: Input) => contexts[args['context'] ?? 0] ?? []

function keyOf({ args }: Input, world: World): DataKey {
  const key = world.dataKeys[args['dataKey'] ?? 0]
  if (key === undefined) throw new Error('no such data key')
  return key
}

const recordOptions = (input: Input) => ({ recordContext: contextOf(input) })
