/** What SPEC.md says in numbers and bytes is what the library does. */

import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import {
  canonicalContext,
  DataKey,
  encrypt,
  fromHex,
  generateIdentity,
  toHex,
  wrapDataKey,
} from '@longhold/core'
import { expect, test } from 'vitest'

const spec = readFileSync(join(import.meta.dirname, '../packages/core/SPEC.md'), 'utf8')

/** Hex after a name at the start of a line, over as many lines as follow with nothing but hex. */
function bytesOf(name: string): Uint8Array {
  const [, hex = ''] = new RegExp(`^${name} +((?:[0-9a-f]+\\s+)+)`, 'm').exec(spec) ?? []
  const bytes = fromHex(hex.replaceAll(/\s/g, ''))
  if (bytes === undefined || bytes.length === 0) throw new Error(`SPEC.md has no ${name}`)
  return bytes
}

test('the record it shows opens, and to nothing else than it says', () => {
  const dataKey = DataKey.from(bytesOf('data key'))
  expect(toHex(dataKey.keyId)).toBe(toHex(bytesOf('key_id')))
  expect(bytesOf('record')).toHaveLength(92)
  expect(dataKey.decrypt(bytesOf('record'), { recordContext: {} })).toHaveLength(0)
})

test('the context it shows has these canonical bytes', () => {
  const shown = /is\n\n```\n([0-9a-f ]+)\n```/.exec(spec)?.[1]?.replaceAll(' ', '')
  expect(toHex(canonicalContext({ table: 'users', column: 'email', id: '42' }))).toBe(shown)
})

test('the sizes it gives are those of the library', async () => {
  const { recipient } = generateIdentity()
  const identityText = generateIdentity().exportText()
  expect(spec).toContain(
    `these are ${recipient.toString().length.toLocaleString('en')} and ${identityText.length} characters`,
  )
  const dataKey = DataKey.generate()
  const header = (await wrapDataKey(dataKey, { recipients: [recipient] })).length - 4
  expect(spec).toMatch(new RegExp(`^\\| default .*\\| ${header.toLocaleString('en')} +\\|$`, 'm'))
  for (const n of [0, 1, 16_383, 16_384, 16_385]) {
    const marginal = n + 16 * Math.floor(n / 16_384)
    expect(dataKey.encrypt(new Uint8Array(n), { recordContext: {} })).toHaveLength(92 + marginal)
    expect(await encrypt(new Uint8Array(n), { recipients: [recipient] })).toHaveLength(1317 + marginal)
  }
})

test('the kinds of refusal it lists are the codes of the library, and the guide explains no others', () => {
  const read = (path: string) => readFileSync(join(import.meta.dirname, '..', path), 'utf8')
  const [, union = ''] =
    /type ErrorCode =\n((?: {2}\| '\w+'\n)+)/.exec(read('packages/core/src/errors.ts')) ?? []
  const codes = [...union.matchAll(/'(\w+)'/g)].map(([, code = '']) => code)
  const [, table = ''] = /\n\| kind .*\n\| -.*\n((?:\|.*\n)+)/.exec(spec) ?? []
  const kinds = [...table.matchAll(/^\| `(\w+)`/gm)].map(([, kind = '']) => kind)
  expect(kinds.length).toBeGreaterThan(10)
  expect(kinds.toSorted()).toEqual(codes.toSorted())

  const errors = read('docs/library.md').split('\n## Errors\n')[1]?.split('\n## ')[0] ?? ''
  const named = [...errors.matchAll(/`([a-z]+(?:_[a-z]+)*)`/g)].map(([, name = '']) => name)
  expect(named.filter((name) => name.includes('_')).length).toBeGreaterThan(5)
  expect(named.filter((name) => name.includes('_') && !codes.includes(name))).toEqual([])
})
