import { randomBytes } from 'node:crypto'

import { describe, expect, test } from 'vitest'

import { LegacyError } from '../../src/formats/legacy-format.ts'
import type { LegacyFormat } from '../../src/formats/legacy-format.ts'
import type { LegacyStreamFormat } from '../../src/formats/legacy-stream.ts'
import { withStreamWitness, withWitness, witnessSettings } from '../../src/formats/witness.ts'
import { keySet } from '../support/legacy-values.ts'

/** Opens to the cell itself; bytes come later. */
const plain = (isAuthenticated: boolean): LegacyFormat => ({
  name: 'plain',
  recognize: ([cell]) =>
    cell === null || cell === undefined
      ? undefined
      : {
          keyId: 'id',
          wrapping: 'none',
          body: 'none',
          isAuthenticated,
          open: () =>
            cell instanceof Uint8Array ? Promise.resolve(Uint8Array.from(cell)) : Buffer.from(String(cell)),
        },
})

async function outcome(witness: object, cell: string | Uint8Array, isAuthenticated = false): Promise<string> {
  const value = withWitness(plain(isAuthenticated), { witness }).recognize([cell])
  try {
    return Buffer.from((await value?.open(keySet())) ?? []).toString()
  } catch (error) {
    if (error instanceof LegacyError) return error.code
    throw error
  }
}

test.each([
  [{ json: true }, '{"a":1}', '{"a":1'],
  [{ text: true }, 'pässword\tand\r\nmore', 'a\u0000b'],
  [{ text: true }, '', '\u0085'],
  [{ 'starts-with': '%PDF' }, '%PDF-1.7', 'PDF-'],
  [{ 'starts-with-hex': '25504446' }, '%PDF', '%PD'],
])('%j', async (witness, right, wrong) => {
  for (const asBytes of [(text: string) => text, (text: string) => Buffer.from(text)]) {
    expect(await outcome(witness, asBytes(right))).toBe(right)
    expect(await outcome(witness, asBytes(wrong))).toBe('cannot_open')
  }
  // Where a tag has told already nothing else is asked.
  expect(await outcome(witness, wrong, true)).toBe(wrong)
  expect(withWitness(plain(false), { witness }).recognize([right])).toMatchObject({
    isAuthenticated: true,
    body: `none, witness ${Object.keys(witness).join()}`,
    keyId: 'id',
  })
})

test('random bytes are no text, and none is no value', async () => {
  for (let i = 0; i < 50; i++) expect(await outcome({ text: true }, randomBytes(64))).toBe('cannot_open')
  expect(withWitness(plain(false), { witness: { text: true } }).recognize([null])).toBeUndefined()
})

test('without a witness the format stays what it is', () => {
  const format = plain(false)
  expect(withWitness(format, undefined)).toBe(format)
  expect(withWitness(format, {})).toBe(format)
})

test.each([
  { witness: { json: false } },
  { witness: { 'starts-with': 'abc' } },
  { witness: { 'starts-with-hex': '2550444' } },
  { witness: { 'starts-with-hex': '255044' } },
  { witness: {} },
  { witness: { json: true, text: true } },
  { witnes: { json: true } },
])('%j is refused', (settings) => {
  expect(witnessSettings.safeParse(settings).success).toBe(false)
})

describe('of streams', () => {
  const streaming: LegacyStreamFormat = {
    name: 'plain',
    recognize: () => ({
      keyId: 'id',
      wrapping: 'none',
      body: 'none',
      isAuthenticated: false,
      open: (source) => source,
    }),
  }

  async function streamed(witness: object, text: string | Uint8Array, size: number): Promise<string> {
    async function* source() {
      const bytes = Buffer.from(text)
      for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
    }
    const found: Uint8Array[] = []
    const value = withStreamWitness(streaming, { witness }).recognize(new Uint8Array(), { name: 'x' })
    expect(value).toMatchObject({ isAuthenticated: true, keyId: 'id' })
    try {
      for await (const piece of value?.open(source(), keySet()) ?? []) {
        found.push(Uint8Array.from(piece))
        piece.fill(0)
      }
      return Buffer.concat(found).toString()
    } catch (error) {
      if (error instanceof LegacyError) return error.code
      throw error
    }
  }

  test.each([
    [{ json: true }, '{"a":[1,2,"ä"]}', '{"a":[1,2,"ä"'],
    [{ text: true }, 'ünïcode ✓ in pieces', 'cut here: \u0000'],
    [{ text: true }, '', Buffer.from('cut within ä').subarray(0, -1)],
    [{ 'starts-with': '%PDF-' }, '%PDF-1.7', '%PDF'],
  ])('%j, in pieces of any size', async (witness, right, wrong) => {
    for (const size of [1, 2, 3, 100]) {
      expect(await streamed(witness, right, size)).toBe(right)
      expect(await streamed(witness, wrong, size)).toBe('cannot_open')
    }
  })

  test('JSON is looked at in memory, up to 64 MiB', async () => {
    const large = Buffer.alloc(64 * 1024 * 1024 + 1, ' ')
    expect(await streamed({ json: true }, large, 1024 * 1024)).toBe('limit_exceeded')
  })

  test('without a witness the format stays what it is', () => {
    expect(withStreamWitness(streaming, undefined)).toBe(streaming)
  })
})
