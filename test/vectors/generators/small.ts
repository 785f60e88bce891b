/** Contexts, data keys, the text form, blind indexes. */

import { DataKey, blindIndex, canonicalContext, encodeValue } from '@longhold/core'
import type { EncryptionContext } from '@longhold/core'

import { indexKeyOf } from '../../../packages/core/src/keys/blind-index.ts'
import { headerKeyOf } from '../../../packages/core/src/keys/data-key.ts'
import { CaseFile } from './case-file.ts'
import { Drbg } from './drbg.ts'
import { toHex } from './parts.ts'

export function smallFiles(): CaseFile[] {
  return [contexts(), dataKeys(), textForm(), blindIndexes()]
}

function contexts(): CaseFile {
  const file = new CaseFile('contexts.json')
  const longest = 8192 - 7
  const pairs = (count: number): EncryptionContext =>
    Array.from({ length: count }, (_, i) => [`k${i}`, `${i}`])
  const valid: readonly (readonly [string, EncryptionContext | null, string])[] = [
    ['none', null, 'the same as an empty one'],
    ['empty', [], 'the same as none'],
    ['one pair', [['tenant', 'a']], ''],
    ['an empty value', [['tenant', '']], ''],
    [
      'not in order',
      [
        ['b', '1'],
        ['a', '2'],
      ],
      'sorted',
    ],
    [
      'a prefix',
      [
        ['ab', '1'],
        ['a', '2'],
      ],
      'the shorter key first',
    ],
    [
      'order of bytes',
      [
        ['a', '1'],
        ['B', '2'],
        ['_', '3'],
      ],
      'not that of a dictionary',
    ],
    [
      'beyond U+FFFF',
      [
        ['\u{10000}', '1'],
        ['\uffff', '2'],
      ],
      'UTF-16 would sort them the other way',
    ],
    [
      'no normalisation',
      [
        ['\u00e9', '1'],
        ['e\u0301', '2'],
      ],
      'two keys that look the same',
    ],
    [
      'a zero byte',
      [
        ['a\0', 'b\0'],
        ['a', '\0'],
      ],
      '',
    ],
    ['a byte order mark', [['\ufeffa', '\ufeff']], 'kept'],
    ['sixty-four pairs', pairs(64), 'as many as may be'],
    ['8,192 bytes', [['a', 'x'.repeat(longest)]], 'as long as may be'],
  ]
  for (const [name, context, comment] of valid)
    file.valid('canonical', name, { context, canonical: toHex(canonicalContext(context ?? [])) }, comment)
  const refused: readonly (readonly ['bad-context' | 'limit', string, EncryptionContext, string])[] = [
    [
      'bad-context',
      'a key twice',
      [
        ['a', '1'],
        ['b', '2'],
        ['a', '3'],
      ],
      'two equal keys',
    ],
    [
      'bad-context',
      'a pair twice',
      [
        ['a', '1'],
        ['a', '1'],
      ],
      'two equal keys, equal values too',
    ],
    ['bad-context', 'an empty key', [['', '1']], 'keys are not empty'],
    ['bad-context', 'a lone high surrogate in a key', [['a\ud800', '1']], 'not Unicode'],
    ['bad-context', 'a lone low surrogate in a value', [['a', '\udc00']], 'not Unicode'],
    ['bad-context', 'surrogates in the wrong order', [['a', '\udc00\ud800']], 'not Unicode'],
    ['bad-context', 'sixty-five pairs', pairs(65), 'one more than may be'],
    ['limit', '8,193 bytes', [['a', 'x'.repeat(longest + 1)]], 'one more than may be'],
  ]
  for (const [kind, name, context, comment] of refused)
    file.refused('canonical', kind, name, comment, { context })
  return file
}

function dataKeys(): CaseFile {
  const file = new CaseFile('data-keys.json')
  const drbg = new Drbg('data keys')
  for (const [name, bytes] of [
    ['zeros', new Uint8Array(32)],
    ['ones', new Uint8Array(32).fill(255)],
    ['one of many', drbg.bytes(32)],
  ] as const) {
    const key = DataKey.from(bytes)
    const [keyId, headerKey, indexKey] = [key.keyId, headerKeyOf(key), indexKeyOf(key)].map(toHex) as [
      string,
      string,
      string,
    ]
    file.valid('dataKey', name, { dataKey: toHex(bytes), keyId, headerKey, indexKey })
  }
  for (const length of [0, 16, 31, 33, 64])
    file.refused('dataKey', 'bad-input', `${length} bytes`, 'data keys have 32', {
      dataKey: toHex(drbg.bytes(length)),
    })
  return file
}

function textForm(): CaseFile {
  const file = new CaseFile('text-form.json')
  const drbg = new Drbg('text form')
  for (const length of [0, 1, 2, 3, 4, 32, 77]) {
    const bytes = drbg.bytes(length)
    file.valid('fromText', `${length} bytes`, {
      bytes: toHex(bytes),
      text: Buffer.from(bytes).toString('base64url'),
    })
  }
  const all = Uint8Array.from(
    { length: 48 },
    (_, i) => [0x00, 0x10, 0x83, 0x10, 0x51, 0x87, 0x20, 0x92, 0x8b, 0x30, 0xd3, 0x8f][i % 12] ?? 0,
  )
  file.valid('fromText', 'many letters', { bytes: toHex(all), text: Buffer.from(all).toString('base64url') })
  const refused = [
    ['one letter', 'A', 'a length of 1 modulo 4'],
    ['five letters', 'AAAAA', 'a length of 1 modulo 4'],
    ['padding', 'AA==', 'padding'],
    ['half the padding', 'AA=', 'padding'],
    ['a low bit set, of four', 'AB', 'unused low bits that are not zero'],
    ['a high bit set, of four', 'AI', 'unused low bits that are not zero'],
    ['a bit set, of two', 'AAB', 'unused low bits that are not zero'],
    ['plus', 'AA+A', 'the other alphabet'],
    ['slash', 'AA/A', 'the other alphabet'],
    ['a space in front', ' AAAA', 'white space'],
    ['a newline at the end', 'AAAA\n', 'white space'],
    ['a line break', 'AAAA\r\nAAAA', 'white space'],
    ['a tab', 'AA\tAA', 'white space'],
    ['a full stop', 'AAA.', 'not in the alphabet'],
    ['a letter beyond ASCII', 'AAAé', 'not in the alphabet'],
    ['a letter beyond Latin-1', 'AAAā', 'not in the alphabet, also when only its low byte is looked at'],
    ['a zero', 'AAA\0', 'not in the alphabet'],
    ['a data URL', 'data:;base64,AAAA', 'a prefix'],
  ] as const
  for (const [name, text, comment] of refused) file.refused('fromText', 'bad-text', name, comment, { text })
  return file
}

function blindIndexes(): CaseFile {
  const file = new CaseFile('blind-index.json')
  const drbg = new Drbg('blind indexes')
  const keyBytes = drbg.bytes(32)
  const key = DataKey.from(keyBytes)
  const value = encodeValue({ type: 'string', value: 'ada@example.org' })
  const common = { dataKey: toHex(keyBytes), table: 'users', column: 'email', value: toHex(value) }
  for (const bits of [16, 17, 23, 24, 31, 63, 64, 65, 128, 255, 256]) {
    const index = toHex(blindIndex(key, { table: 'users', column: 'email', value, bits }))
    file.valid(
      'blindIndex',
      `${bits} bits`,
      { ...common, bits, index },
      'the first bits of the longest, unused bits 0',
    )
  }
  const names = [
    ['another column', 'users', 'mail'],
    ['names that join to the same', 'usersemail', ''],
    ['no names', '', ''],
    ['names beyond ASCII', 'ä', '🔑'],
  ] as const
  for (const [name, table, column] of names) {
    const index = toHex(blindIndex(key, { table, column, value, bits: 64 }))
    file.valid('blindIndex', name, { ...common, table, column, bits: 64, index })
  }
  const none = toHex(blindIndex(key, { table: 'users', column: 'email', value: new Uint8Array(), bits: 64 }))
  file.valid('blindIndex', 'an empty value', { ...common, value: '', bits: 64, index: none })
  for (const bits of [0, 1, 15, 257, -8, 16.5])
    file.refused('blindIndex', 'bad-input', `${bits} bits`, '16 to 256', { ...common, bits, index: '' })
  const column = 'mail\ud800'
  file.refused('blindIndex', 'bad-input', 'a lone surrogate', 'no name', {
    ...common,
    column,
    bits: 64,
    index: '',
  })
  return file
}
