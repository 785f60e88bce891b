/** Layouts as `longhold.yaml` declares them, and what each cipher must say and must not. */

import { z } from 'zod'

import { cipherNames, modeOf } from '../formats/declared-layout.ts'
import type {
  AadPart,
  BodyCipher,
  CipherMode,
  DeclaredLayout,
  IvPlace,
  Mac,
  Witness,
  WrappedKeyPlace,
} from '../formats/declared-layout.ts'
import type { PartPlace } from '../formats/declared-parts.ts'
import { hashBytes } from '../legacy-keys/oaep.ts'
import { usage } from '../shell/errors.ts'

const encoding = z.enum(['base64', 'base64url', 'hex', 'binary', 'utf8'])
const place = z.strictObject({ column: z.string().optional(), member: z.string().optional(), encoding })
const hash = z.enum(['sha1', 'sha224', 'sha256', 'sha384', 'sha512'])
const hex = z.string().regex(/^(?:[0-9a-fA-F]{2})*$/u, 'is not hexadecimal')

export const layoutEntry = z.strictObject({
  'wrapped-key': z
    .union([
      place,
      z.strictObject({ 'by-key-id': place }),
      z.array(place.extend({ 'key-id': z.string() })).min(1),
    ])
    .optional(),
  'data-key': z.enum(['base64', 'base64url', 'hex']).optional(),
  iv: z.union([z.literal('front'), place, z.strictObject({ wrapped: place })]).optional(),
  ciphertext: place,
  tag: z.union([z.literal('end'), place]).optional(),
  'tag-bytes': z.union([4, 8, 12, 13, 14, 15, 16].map((bytes) => z.literal(bytes))).optional(),
  'key-id': place.optional(),
  oaep: z
    .strictObject({
      hash,
      // No default: what libraries take for granted here differs, and guessing is how data gets lost.
      'mgf1-hash': hash,
      label: z.string().optional(),
      'label-hex': hex.optional(),
    })
    .optional(),
  pkcs1: z.literal(true).optional(),
  cipher: z.string(),
  password: z
    .union([
      z.strictObject({
        kdf: z.literal('pbkdf2'),
        digest: z.enum(['md5', 'sha1', 'sha256', 'sha512']),
        iterations: z.int().min(1),
      }),
      z.strictObject({ kdf: z.literal('evp'), digest: z.enum(['md5', 'sha1', 'sha256', 'sha512']) }),
    ])
    .optional(),
  mac: z
    .strictObject({
      hash: z.enum(['sha1', 'sha256', 'sha384', 'sha512']),
      key: z.enum(['behind', 'front', 'same']),
      'key-bytes': z.int().min(16).max(128).default(32),
      place: z.union([z.literal('end'), place]),
      bytes: z.int().min(10).optional(),
      covers: z
        .array(z.enum(['aad', 'iv', 'ciphertext']))
        .default(['iv', 'ciphertext'])
        .refine((parts) => parts.includes('ciphertext'), 'leaves the ciphertext out'),
    })
    .optional(),
  witness: z
    .union([
      z.strictObject({ sha256: place }),
      z.strictObject({ sha512: place }),
      z.strictObject({ sha1: place }),
      z.strictObject({ md5: place }),
      z.strictObject({ 'starts-with': z.string().min(4) }),
      z.strictObject({ 'starts-with-hex': hex.min(8) }),
      z.strictObject({ json: z.literal(true) }),
      z.strictObject({ text: z.literal(true) }),
    ])
    .optional(),
  aad: z.array(z.union([z.strictObject({ text: z.string() }), z.strictObject({ hex }), place])).default([]),
})

/** The names of the entries, for hints. */
export const layoutEntries: readonly string[] = Object.keys(layoutEntry.shape)

type Entry = z.infer<typeof layoutEntry>
type Place = z.infer<typeof place>

/** @throws CliError (exit 2) for what the schema cannot say. */
export function toLayout(name: string, declared: Entry, valueColumn: string): DeclaredLayout {
  const at = ({ column = valueColumn, member, encoding: spelling }: Place): PartPlace => ({
    column,
    member,
    encoding: spelling,
  })
  const ciphertext = at(declared.ciphertext)
  if (ciphertext.column !== valueColumn) {
    throw usage(
      `format ${name}: its ciphertext is in column ${ciphertext.column}, but the run is on ${valueColumn}`,
      {
        hint: `give --column ${ciphertext.column}, or leave the format out with --format`,
      },
    )
  }
  const cipher = checkCipher(name, declared)
  const { mac, password } = declared
  return {
    name,
    wrappedKey: toWrappedKey(declared['wrapped-key'], at),
    iv: toIv(declared.iv, at),
    ciphertext,
    tag: declared.tag === undefined ? 'none' : declared.tag === 'end' ? 'end' : at(declared.tag),
    tagBytes: declared['tag-bytes'],
    keyId: declared['key-id'] === undefined ? undefined : at(declared['key-id']),
    padding: toPadding(name, declared),
    dataKeyEncoding: declared['data-key'],
    cipher,
    password:
      password === undefined
        ? undefined
        : {
            digest: password.digest,
            iterations: password.kdf === 'pbkdf2' ? password.iterations : undefined,
          },
    mac: mac === undefined ? undefined : toMac(name, mac, at),
    witness: toWitness(declared.witness, at),
    aad: declared.aad.map((part): AadPart => {
      if ('text' in part) return { bytes: Uint8Array.from(Buffer.from(part.text)) }
      if ('hex' in part) return { bytes: Uint8Array.from(Buffer.from(part.hex, 'hex')) }
      return at(part)
    }),
  }
}

type At = (part: Place) => PartPlace

function toWrappedKey(declared: Entry['wrapped-key'], at: At): WrappedKeyPlace | undefined {
  if (declared === undefined) return undefined
  if (Array.isArray(declared)) {
    return declared.map(({ 'key-id': keyId, ...one }) => ({ keyId, place: at(one) }))
  }
  return 'by-key-id' in declared ? { byKeyId: at(declared['by-key-id']) } : at(declared)
}

function toIv(declared: Entry['iv'], at: At): IvPlace {
  if (declared === undefined) return 'none'
  if (declared === 'front') return declared
  return 'wrapped' in declared ? { wrapped: at(declared.wrapped) } : at(declared)
}

function toPadding(name: string, { oaep, pkcs1 }: Entry): DeclaredLayout['padding'] {
  if ((oaep === undefined) === (pkcs1 === undefined)) {
    throw usage(`format ${name}: nothing says how RSA pads, or two things do`, {
      hint: 'oaep with hash and mgf1-hash, or pkcs1: true',
    })
  }
  if (oaep === undefined) return 'pkcs1'
  if (oaep.label !== undefined && oaep['label-hex'] !== undefined) {
    throw usage(`format ${name}: oaep has both label and label-hex`, { hint: 'keep one of them' })
  }
  const label =
    oaep['label-hex'] === undefined ? Buffer.from(oaep.label ?? '') : Buffer.from(oaep['label-hex'], 'hex')
  return { hash: oaep.hash, mgf1Hash: oaep['mgf1-hash'], label: Uint8Array.from(label) }
}

function toMac(name: string, declared: NonNullable<Entry['mac']>, at: At): Mac {
  const { hash: hashName, key, 'key-bytes': keyBytes, place: where, covers } = declared
  const bytes = declared.bytes ?? hashBytes[hashName]
  if (bytes > hashBytes[hashName]) {
    throw usage(`format ${name}: HMAC with ${hashName} has ${hashBytes[hashName]} bytes, not ${bytes}`, {
      hint: 'bytes says how many of them are kept',
    })
  }
  return { hash: hashName, key, keyBytes, place: where === 'end' ? 'end' : at(where), bytes, covers }
}

interface Rule {
  readonly needs: readonly (keyof Entry)[]
  readonly allows: readonly (keyof Entry)[]
}

/** Beside ciphertext, cipher, padding and key-id, which all have. */
const rules: Readonly<Record<CipherMode, Rule>> = {
  gcm: { needs: ['wrapped-key', 'iv', 'tag'], allows: ['aad', 'tag-bytes', 'data-key', 'mac'] },
  cbc: { needs: ['wrapped-key', 'iv'], allows: ['data-key', 'mac', 'witness'] },
  ctr: { needs: ['wrapped-key', 'iv'], allows: ['data-key', 'mac', 'witness'] },
  fernet: { needs: ['wrapped-key'], allows: ['data-key'] },
  rsa: { needs: [], allows: ['witness'] },
}
const passwordRule: Rule = { needs: ['wrapped-key', 'password'], allows: ['witness'] }

const governed = [
  'wrapped-key',
  'iv',
  'tag',
  'tag-bytes',
  'aad',
  'data-key',
  'mac',
  'witness',
  'password',
] as const

function checkCipher(name: string, declared: Entry): BodyCipher {
  const { cipher, tag, aad, witness, mac, password } = declared
  const mode = modeOf(cipher)
  if (mode === undefined) {
    throw usage(`format ${name}: cipher ${cipher} is not read`, {
      hint: `there are: ${cipherNames.join(', ')}`,
    })
  }
  if (mode === 'gcm' && tag === undefined) {
    throw usage(`format ${name}: ${cipher} has a tag, and nothing says where`, {
      hint: 'tag: end, or a place',
    })
  }
  const isShort = (declared['tag-bytes'] ?? 16) < 12
  if (mode === 'gcm' && witness !== undefined && !isShort) {
    throw usage(`format ${name}: ${cipher} has a tag and needs no witness`, { hint: 'leave witness out' })
  }
  const coversAad = mac?.covers.includes('aad') === true
  if ((mode === 'cbc' || mode === 'ctr') && (tag !== undefined || (aad.length > 0 && !coversAad))) {
    throw usage(`format ${name}: ${cipher} has neither tag nor additional data`, {
      hint: 'leave tag and aad out, or say that a mac covers aad',
    })
  }
  const isPassword = password !== undefined && (mode === 'cbc' || mode === 'ctr')
  const { needs, allows } = isPassword ? passwordRule : rules[mode]
  const missing = needs.find((entry) => declared[entry] === undefined)
  if (missing !== undefined) {
    throw usage(`format ${name}: ${cipher} needs ${missing}`, { hint: 'docs/reencrypt.md lists the entries' })
  }
  const isGiven = (entry: keyof Entry): boolean =>
    entry === 'aad' ? aad.length > 0 : declared[entry] !== undefined
  const excused = [...needs, ...allows, ...(coversAad ? ['aad'] : []), ...(isShort ? ['witness'] : [])]
  const extra = governed.find((entry) => isGiven(entry) && !excused.includes(entry))
  if (extra !== undefined) {
    const what = isPassword ? 'a password line' : cipher
    throw usage(`format ${name}: ${what} does not go with ${extra}`, { hint: `leave ${extra} out` })
  }
  // Its own words: modeOf knows exactly these.
  return cipher as BodyCipher
}

function toWitness(declared: Entry['witness'], at: At): Witness | undefined {
  if (declared === undefined) return undefined
  if ('json' in declared) return { kind: 'json' }
  if ('text' in declared) return { kind: 'text' }
  if ('sha256' in declared) return { kind: 'sha256', place: at(declared.sha256) }
  if ('sha512' in declared) return { kind: 'sha512', place: at(declared.sha512) }
  if ('sha1' in declared) return { kind: 'sha1', place: at(declared.sha1) }
  if ('md5' in declared) return { kind: 'md5', place: at(declared.md5) }
  const bytes =
    'starts-with' in declared
      ? Buffer.from(declared['starts-with'])
      : Buffer.from(declared['starts-with-hex'], 'hex')
  return { kind: 'starts-with', bytes: Uint8Array.from(bytes) }
}
