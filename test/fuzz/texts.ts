/** What people copy: the text of keys, and the text form of containers. */

import { fromText, parseIdentity, parseRecipient, toHex, toText, utf8 } from '@longhold/core'
import type { PublicKeyRecipient } from '@longhold/core'

import type { Lab } from './lab.ts'
import { suiteSets } from './lab.ts'
import { sha256 } from './model.ts'
import { flipped, mutateBytes } from './mutate.ts'
import type { Random } from './random.ts'
import { opened, outcomeOf, refused } from './trial.ts'
import type { End, Input, Target, Trial } from './trial.ts'

const prefixes = { recipient: 'lhrecipient1-', identity: 'LONGHOLD-IDENTITY-1-' } as const
const sizes = {
  recipient: new Map([
    [0x647a, 1216],
    [0x0051, 1665],
  ]),
  identity: new Map([
    [0x647a, 32],
    [0x0051, 32],
  ]),
}
type What = keyof typeof prefixes

export const identityText: Target = {
  name: 'identity text',
  weight: 2,
  make: (random, lab) => makeKeyText('identity', random, lab),
  run: ({ bytes, args }) =>
    outcomeOf(() =>
      utf8(parseIdentity(textOf(bytes), { suites: suiteSets[args['suites'] ?? 0] ?? [] }).exportText()),
    ),
}

export const recipientText: Target = {
  name: 'recipient text',
  weight: 3,
  make: (random, lab) => makeKeyText('recipient', random, lab),
  run: ({ bytes, args }) =>
    outcomeOf(() => {
      const recipient: PublicKeyRecipient = parseRecipient(textOf(bytes), {
        suites: suiteSets[args['suites'] ?? 0] ?? [],
      })
      return utf8(recipient.toString())
    }),
}

export const textForm: Target = {
  name: 'text form',
  weight: 3,
  make(random) {
    let text = Buffer.from(random.bytes(random.below(60))).toString('base64url')
    if (random.chance(0.4)) text = mutateText(text, random)
    return { input: { bytes: utf8(text), args: {} }, expected: modelOfText(text) }
  },
  run: ({ bytes }) =>
    outcomeOf(() => {
      const read = fromText(textOf(bytes))
      if (toText(read) !== textOf(bytes)) throw new Error('another spelling of the same bytes was accepted')
      return read
    }),
}

function modelOfText(text: string): End {
  const bytes = decoded(text)
  return bytes === undefined ? refused('base64url', 'bad_text') : opened(bytes)
}

function makeKeyText(what: What, random: Random, lab: Lab): Trial {
  const { noble } = lab.worlds
  const person = random.pick(noble.people)
  let key = what === 'recipient' ? person.recipient.publicKey : person.useSeed((seed) => new Uint8Array(seed))
  let kem = person.kemId
  let prefix: string = prefixes[what]
  const roll = random.below(10)
  if (roll === 0) key = mutateBytes(key, random)
  else if (roll <= 3) key = mutateKey(key, kem, random)
  else if (roll === 4) kem = random.pick([0x647a, 0x0051, 0x0052, 0])
  else if (roll === 5) prefix = random.pick([...Object.values(prefixes), 'lhrecipient1', 'lhrecipient2-'])
  const body = Buffer.concat([Uint8Array.of(kem >> 8, kem), key])
  let check: Uint8Array = sha256(Buffer.concat([Buffer.from(prefixes[what]), body])).subarray(0, 4)
  if (random.chance(0.05)) check = flipped(check, random)
  let text = prefix + Buffer.concat([body, check]).toString('base64url')
  if (random.chance(0.15)) text = mutateText(text, random)
  const args = { suites: random.chance(0.9) ? 0 : 1 }
  return { input: { bytes: utf8(text), args }, expected: modelOfKeyText(text, what, args.suites) }
}

/** Keys of the right length that are none: coefficients too large, points of low order or off the curve. */
function mutateKey(key: Uint8Array, kem: number, random: Random): Uint8Array {
  if (key.length === 32) return random.bytes(32)
  const copy = new Uint8Array(key)
  const group = kem === 0x647a ? copy.subarray(1184) : copy.subarray(1568)
  const roll = random.below(4)
  if (roll === 0) copy.set([0xff, 0xff, 0xff], 3 * random.below(384))
  else if (roll === 1 && kem === 0x647a) group.set(random.pick(lowOrder))
  else if (roll === 2) group[0] = random.pick([2, 3, 4, 5, 0])
  else group.set(flipped(group, random))
  return copy
}

/** SPEC §7, §1.3. */
function modelOfKeyText(text: string, what: What, suites: number): End {
  const prefix = prefixes[what]
  if (!text.startsWith(prefix)) return refused('prefix', 'bad_text')
  const bytes = decoded(text.slice(prefix.length))
  if (bytes === undefined || bytes.length < 6) return refused('base64url', 'bad_text')
  const check = sha256(Buffer.concat([Buffer.from(prefix), bytes.subarray(0, -4)]))
  if (!check.subarray(0, 4).every((byte, i) => byte === bytes.at(i - 4))) return refused('check', 'bad_text')
  const kem = bytes.readUInt16BE(0)
  const size = suites === 1 && kem !== 0x647a ? undefined : sizes[what].get(kem)
  if (size === undefined) return refused('suite', 'unsupported', true)
  const key = bytes.subarray(2, -4)
  if (key.length !== size) return refused('length', 'bad_text', true)
  if (what === 'recipient' && !isPublicKey(key, kem)) return refused('public key', 'bad_key', true)
  return opened(utf8(text))
}

function isPublicKey(key: Buffer, kem: number): boolean {
  const [groupAt, ranks] = kem === 0x647a ? [1184, 3] : [1568, 4]
  for (let at = 0; at < 384 * ranks; at += 3) {
    const three = key.readUIntLE(at, 3)
    if ((three & 0xfff) >= 3329 || three >> 12 >= 3329) return false
  }
  const group = key.subarray(groupAt)
  return kem === 0x647a ? !isLowOrder(group) : isOnP384(group)
}

const p25519 = 2n ** 255n - 19n
const littleEndian = (bytes: Uint8Array) => BigInt(`0x${toHex(bytes.toReversed())}`)
/** u coordinates of order 1, 2, 4 and 8, on the curve and its twist. */
const lowOrderU = new Set([
  0n,
  1n,
  p25519 - 1n,
  325606250916557431795983626356110631294008115727848805560023387167927233504n,
  39382357235489614581723060781553021112529911719440698176882885853963445705823n,
])
const isLowOrder = (u: Uint8Array) => lowOrderU.has(BigInt.asUintN(255, littleEndian(u)) % p25519)
const lowOrder = [0n, 1n, p25519, p25519 + 1n, p25519 - 1n, p25519 - 1n + 2n ** 255n, ...lowOrderU].map((u) =>
  Buffer.from(u.toString(16).padStart(64, '0'), 'hex').toReversed(),
)

const p384 = 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n
const b384 = BigInt(
  '0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef',
)

function isOnP384(point: Buffer): boolean {
  if (point[0] !== 4) return false
  const x = BigInt(`0x${point.toString('hex', 1, 49)}`)
  const y = BigInt(`0x${point.toString('hex', 49)}`)
  return x < p384 && y < p384 && (y * y - (x * x * x - 3n * x + b384)) % p384 === 0n
}

function decoded(text: string): Buffer | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : undefined
}

function mutateText(text: string, random: Random): string {
  const at = random.below(text.length + 1)
  const insert = random.pick(['A', '_', '-', '=', '+', '/', ' ', '\n', 'é', ''])
  return text.slice(0, at) + insert + text.slice(at + random.below(2))
}

const textOf = (bytes: Input['bytes']) => Buffer.from(bytes).toString()
