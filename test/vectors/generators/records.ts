/** Records, and ranges of them. */

import { DataKey } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'

import { sealRecord } from '../../../packages/core/src/keys/data-key.ts'
import { sha256 } from '../schema.ts'
import { CaseFile } from './case-file.ts'
import { Drbg } from './drbg.ts'
import {
  chunkBytes,
  flip,
  join,
  otherContext,
  over,
  patternPlaintext,
  patterned,
  someContext,
  toHex,
} from './parts.ts'

const sealedChunk = chunkBytes + 16

const text = (plaintext: string) => new TextEncoder().encode(plaintext)

export async function recordFiles(): Promise<CaseFile[]> {
  const drbg = new Drbg('records')
  const keyBytes = drbg.bytes(32)
  const otherKeyBytes = drbg.bytes(32)
  const dataKey = toHex(keyBytes)
  const key = DataKey.from(keyBytes)
  const seal = (plaintext: Uint8Array, recordContext: EncryptionContext, salt: Uint8Array) =>
    sealRecord(key, plaintext, recordContext, { testingSalt: salt })

  const valid = new CaseFile('records.json')
  const contexts: readonly (readonly [string, EncryptionContext | null])[] = [
    ['no context', null],
    ['three pairs', someContext],
    ['an empty value', [['k', '']]],
    [
      'beyond U+FFFF',
      [
        ['\u{10000}', 'a'],
        ['\uffff', 'b'],
      ],
    ],
  ]
  for (const [name, recordContext] of contexts) {
    for (const plaintext of ['', 'x', 'Grüße, 🔑'].map(text)) {
      const salt = drbg.bytes(24)
      const input = toHex(seal(plaintext, recordContext ?? [], salt))
      const fields = {
        dataKey,
        recordContext,
        plaintext: { hex: toHex(plaintext) },
        salt: toHex(salt),
        input,
      }
      valid.valid('openRecord', `${plaintext.length} bytes, ${name}`, fields)
    }
  }
  for (const length of [chunkBytes - 1, chunkBytes, chunkBytes + 1]) {
    const salt = drbg.bytes(24)
    const input = toHex(seal(patterned(length), someContext, salt))
    const plaintext = await patternPlaintext(length)
    const fields = { dataKey, recordContext: someContext, plaintext, salt: toHex(salt), input }
    valid.valid('openRecord', `${length} bytes`, fields, 'around the length of a chunk')
  }
  const setting = { drbg, keyBytes, otherKeyBytes, seal }
  return [valid, refusedRecords(setting), await ranges(setting)]
}

interface Setting {
  readonly drbg: Drbg
  readonly keyBytes: Uint8Array
  readonly otherKeyBytes: Uint8Array
  readonly seal: (plaintext: Uint8Array, recordContext: EncryptionContext, salt: Uint8Array) => Uint8Array
}

function refusedRecords({ drbg, keyBytes, otherKeyBytes, seal }: Setting): CaseFile {
  const dataKey = toHex(keyBytes)
  const file = new CaseFile('records-refused.json')
  const record = seal(text('sixteen bytes ..'), someContext, drbg.bytes(24))
  const refused = (
    kind: 'malformed' | 'unsupported' | 'cannot-open' | 'bad-context' | 'bad-input',
    name: string,
    comment: string,
    input: Uint8Array,
    change: { dataKey?: string; recordContext?: EncryptionContext | null } = {},
  ) =>
    file.refused('openRecord', kind, name, comment, {
      dataKey,
      recordContext: someContext,
      ...change,
      input: toHex(input),
    })

  for (const at of [0, 1, 2])
    refused('malformed', `magic, byte ${at}`, 'one bit of the magic flipped', flip(record, at))
  refused('malformed', 'magic of a wrapped key', 'LHK instead of LHR', over(record, 2, 0x4b))
  refused('malformed', 'magic of an envelope', 'LHE instead of LHR', over(record, 2, 0x45))
  for (const version of [0, 2, 127, 255])
    refused('unsupported', `version ${version}`, 'another version than 1', over(record, 3, version))
  for (const length of [0, 1, 2, 3, 4, 19, 20, 43, 44, 75, 76, 90, 91])
    refused(
      'malformed',
      `cut to ${length} bytes`,
      'shorter than the smallest record, 92 bytes',
      record.subarray(0, length),
    )
  refused(
    'malformed',
    'text form',
    'the ASCII of base64url, not its bytes',
    text(Buffer.from(record).toString('base64url')),
  )

  for (const at of [4, 11, 19])
    refused('cannot-open', `key_id, byte ${at - 4}`, 'one bit of key_id flipped', flip(record, at))
  for (const at of [20, 31, 43])
    refused('cannot-open', `salt, byte ${at - 20}`, 'one bit of the salt flipped', flip(record, at, 0x80))
  for (const at of [44, 59, 75])
    refused(
      'cannot-open',
      `commitment, byte ${at - 44}`,
      'one bit of the commitment flipped',
      flip(record, at),
    )
  for (const at of [76, 84, 91])
    refused(
      'cannot-open',
      `ciphertext, byte ${at - 76}`,
      'one bit of the only chunk flipped',
      flip(record, at),
    )
  for (const at of [-16, -8, -1])
    refused('cannot-open', `tag, byte ${16 + at}`, 'one bit of the tag flipped', flip(record, at))
  for (const cut of [1, 15, 16]) {
    const name = `${cut} bytes cut off`
    refused(
      'cannot-open',
      name,
      'the end of the only chunk is missing',
      record.subarray(0, record.length - cut),
    )
  }
  for (const more of [1, 16, 32])
    refused(
      'cannot-open',
      `${more} bytes appended`,
      'bytes after the final chunk',
      join(record, new Uint8Array(more)),
    )
  const wrongKey = 'another data key: its key_id is not that of the record'
  refused('cannot-open', 'another data key', wrongKey, record, { dataKey: toHex(otherKeyBytes) })
  const renamed = join(record.subarray(0, 4), DataKey.from(otherKeyBytes).keyId, record.subarray(20))
  const lying = 'key_id is that of the data key given, the body is of another: the commitment differs'
  refused('cannot-open', 'key_id of another data key', lying, renamed, { dataKey: toHex(otherKeyBytes) })

  const contexts: readonly (readonly [string, EncryptionContext | null])[] = [
    ['none', null],
    ['another value', otherContext],
    ['a pair less', someContext.slice(1)],
    ['a pair more', [...someContext, ['x', '']]],
    ['another case of a key', someContext.map(([name, value]) => [name.toUpperCase(), value])],
    ['key and value exchanged', someContext.map(([name, value]) => [value, name])],
    ['a value with a space', someContext.map(([name, value]) => [name, `${value} `])],
  ]
  for (const [name, recordContext] of contexts)
    refused('cannot-open', `context: ${name}`, 'not the context it was bound to', record, { recordContext })
  const invalid: readonly (readonly [string, EncryptionContext])[] = [
    [
      'a key twice',
      [
        ['a', '1'],
        ['a', '2'],
      ],
    ],
    ['an empty key', [['', '1']]],
    ['a lone surrogate', [['a', '\ud800']]],
  ]
  for (const [name, recordContext] of invalid)
    refused('bad-context', `context: ${name}`, 'no context at all (SPEC §4)', record, { recordContext })
  refused('bad-input', 'a data key of 31 bytes', 'data keys have 32', record, { dataKey: dataKey.slice(2) })
  refused('bad-input', 'a data key of 33 bytes', 'data keys have 32', record, { dataKey: `${dataKey}00` })
  const typed = sealRecord(DataKey.from(keyBytes), text('\x01x'), someContext, {
    bodyKind: 'value',
    testingSalt: drbg.bytes(24),
  })
  refused('cannot-open', 'a typed record', 'bound to the label of typed values', typed)

  // Two full chunks and an empty final one would be 66 kB each: one full chunk does it.
  const long = seal(patterned(chunkBytes), someContext, drbg.bytes(24))
  const head = long.subarray(0, 76)
  const first = long.subarray(76, 76 + sealedChunk)
  refused('cannot-open', 'final chunk missing', 'ends cleanly after a full chunk', join(head, first))
  refused(
    'cannot-open',
    'full chunk missing',
    'the final chunk alone: its nonce is that of chunk 1',
    join(head, long.subarray(-16)),
  )
  refused('cannot-open', 'final chunk of 15 bytes', 'fewer than a tag', long.subarray(0, long.length - 1))
  const empty = seal(new Uint8Array(), someContext, drbg.bytes(24))
  refused(
    'cannot-open',
    'final chunk of another record',
    'an empty final chunk under another salt',
    join(head, empty.subarray(76)),
  )
  const body = join(record.subarray(0, 20), empty.subarray(20, 76), record.subarray(76))
  refused('cannot-open', 'salt and commitment of another record', 'the chunk is of another message', body)
  refused(
    'cannot-open',
    'salt and commitment exchanged',
    'the two are at each other’s place',
    join(record.subarray(0, 20), record.subarray(44, 76), record.subarray(20, 44), record.subarray(76)),
  )
  refused(
    'cannot-open',
    'all of the body zero',
    'no body at all',
    join(record.subarray(0, 20), new Uint8Array(72)),
  )
  return file
}

async function ranges({ drbg, keyBytes, seal }: Setting): Promise<CaseFile> {
  const dataKey = toHex(keyBytes)
  const file = new CaseFile('ranges.json')
  const short = seal(text('0123456789'), someContext, drbg.bytes(24))
  const common = { dataKey, recordContext: someContext }
  for (const [start, end] of [
    [0, 0],
    [0, 1],
    [0, 10],
    [3, 7],
    [9, 10],
    [10, 10],
  ] as const) {
    const part = await sha256(text('0123456789').subarray(start, end))
    file.valid('readRange', `${start} to ${end} of 10`, {
      ...common,
      input: toHex(short),
      start,
      end,
      sha256: part,
    })
  }
  const long = chunkBytes + 1
  const name = `${long} bytes`
  for (const [start, end] of [
    [0, 1],
    [0, long],
    [chunkBytes - 1, chunkBytes],
    [chunkBytes - 1, long],
    [chunkBytes, long],
  ] as const) {
    const part = await sha256(patterned(long).subarray(start, end))
    file.valid('readRange', `${start} to ${end} of ${long}`, {
      ...common,
      recordName: name,
      start,
      end,
      sha256: part,
    })
  }
  const outside: readonly (readonly [number, number])[] = [
    [0, 11],
    [11, 11],
    [5, 4],
    [-1, 3],
    [0.5, 3],
    [0, 1.5],
    [0, 2 ** 53],
  ]
  for (const [start, end] of outside) {
    const comment = 'no range within the 10 bytes of plaintext'
    file.refused('readRange', 'bad-input', `${start} to ${end} of 10`, comment, {
      ...common,
      input: toHex(short),
      start,
      end,
      sha256: '',
    })
  }
  const damaged: readonly (readonly [string, Uint8Array])[] = [
    ['final chunk flipped', flip(short, -1)],
    ['commitment flipped', flip(short, 50)],
    ['cut short by one', short.subarray(0, -1)],
    ['longer by one', join(short, Uint8Array.of(0))],
  ]
  for (const [fault, input] of damaged) {
    const comment = 'found when it is opened, also by who asks for no bytes'
    file.refused('readRange', 'cannot-open', fault, comment, {
      ...common,
      input: toHex(input),
      start: 0,
      end: 0,
      sha256: '',
    })
  }
  const malformed = { ...common, input: toHex(short.subarray(0, 91)), start: 0, end: 0, sha256: '' }
  file.refused('readRange', 'malformed', 'cut to 91 bytes', 'shorter than the smallest record', malformed)
  const version = { ...common, input: toHex(over(short, 3, 2)), start: 0, end: 0, sha256: '' }
  file.refused('readRange', 'unsupported', 'version 2', 'another version than 1', version)
  return file
}
