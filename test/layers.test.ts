import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

import { afterEach, describe, expect, test } from 'vitest'

import { checkLayers, readRooms } from './layers.ts'

const root = join(import.meta.dirname, '..')

test('every import of packages/*/src is an arrow of ARCHITECTURE.md', () => {
  const rooms = readRooms(readFileSync(join(root, 'ARCHITECTURE.md'), 'utf8'))
  expect(checkLayers(root, rooms)).toEqual([])
})

describe('a tree with a fault is reported', () => {
  const rules = [
    '## Core, `@longhold/core`',
    '| room | may import | from outside |',
    '| --- | --- | --- |',
    '| `bytes` | | |',
    '| `format` | `bytes` | `type node:crypto` |',
    '| `keys` | `bytes`, `format` | `@noble/*` |',
    '| `stores/*` | `keys` | |',
    '| `index` | `format`, `keys` | |',
    '## `@longhold/cli`',
    '| room | may import | from outside |',
    '| `main` | `terminal` | `@longhold/core`, `node:*`, `yaml`, `zod` |',
    '| `terminal`, `files` | | |',
  ]
  const sound = {
    'packages/core/package.json': '{"name":"@longhold/core","dependencies":{"@noble/hashes":"1.0.0"}}',
    'packages/core/src/bytes.ts': 'export const concat = 1\n',
    'packages/core/src/format/header.ts': [
      "import type { KeyObject } from 'node:crypto'",
      "import { concat } from '../bytes.ts'",
      'export type Header = KeyObject',
      'export const header = concat',
    ].join('\n'),
    'packages/core/src/keys/suite.ts':
      "import { header } from '../format/header.ts'\nexport const suite = header\n",
    'packages/core/src/index.ts':
      "export { suite } from './keys/suite.ts'\nexport type { Header } from './format/header.ts'",
    'packages/cli/package.json':
      '{"name":"@longhold/cli","dependencies":{"@longhold/core":"workspace:*","yaml":"catalog:"}}',
    'packages/cli/src/main.ts':
      "import { parse } from 'yaml'\nimport { suite } from '@longhold/core'\nexport const x = [parse, suite]",
  }

  const trees: string[] = []
  afterEach(() => {
    for (const tree of trees.splice(0)) rmSync(tree, { recursive: true, force: true })
  })

  function faultsOf(changes: Record<string, string>, table = rules): string[] {
    const tree = mkdtempSync(join(tmpdir(), 'longhold-layers-'))
    trees.push(tree)
    for (const [path, text] of Object.entries({ ...sound, ...changes })) {
      mkdirSync(dirname(join(tree, path)), { recursive: true })
      writeFileSync(join(tree, path), text)
    }
    return checkLayers(tree, readRooms(table.join('\n')))
  }

  test('the tree without a fault is not', () => {
    expect(faultsOf({})).toEqual([])
  })

  test.each([
    ['a value', "import { suite } from './keys/suite.ts'"],
    ['a type', "import type { suite } from './keys/suite.ts'"],
    ['a type inside a type', "export type S = typeof import('./keys/suite.ts')"],
    ['a lazy import', "export const later = () => import('./keys/suite.ts')"],
    ['a re-export', "export { suite } from './keys/suite.ts'"],
    ['a re-export of everything', "export * from './keys/suite.ts'"],
    ['a side effect', "import './keys/suite.ts'"],
    ['a worker', "export const w = new URL('./keys/suite.ts', import.meta.url)"],
  ])('an arrow that is not listed: %s', (_, line) => {
    expect(faultsOf({ 'packages/core/src/bytes.ts': `export const concat = 1\n${line}\n` })).toContain(
      'packages/core/src/bytes.ts:2: imports ./keys/suite.ts: `bytes` may not import `keys`',
    )
  })

  test('a cycle of files inside one room, by types alone', () => {
    const faults = faultsOf({
      'packages/core/src/keys/a.ts': "import type { B } from './b.ts'\nexport type A = B\n",
      'packages/core/src/keys/b.ts': "import type { A } from './a.ts'\nexport type B = A\n",
    })
    const [a, b] = ['packages/core/src/keys/a.ts', 'packages/core/src/keys/b.ts']
    expect(faults).toEqual([`a cycle of files: ${a} → ${b} → ${a}`])
  })

  test('a cycle of rooms in the tables, and an arrow to a room that is not there', () => {
    const table = rules.map((row) => row.replace('| `bytes` | |', '| `bytes` | `keys`, `attic` |'))
    const cycle = (...names: string[]) =>
      `ARCHITECTURE.md: a cycle of rooms: ${names.map((name) => `@longhold/core ${name}`).join(' → ')}`
    expect(faultsOf({}, table)).toEqual([
      'ARCHITECTURE.md: `bytes` of @longhold/core lists `attic`, which is no room',
      cycle('bytes', 'keys', 'bytes'),
      cycle('bytes', 'keys', 'format', 'bytes'),
    ])
  })

  test('siblings that must not know each other', () => {
    const faults = faultsOf({
      'packages/core/src/stores/memory.ts':
        "import { suite } from '../keys/suite.ts'\nexport const m = suite\n",
      'packages/core/src/stores/file.ts': "import { m } from './memory.ts'\nexport const f = m\n",
    })
    expect(faults).toEqual([
      'packages/core/src/stores/file.ts:1: imports ./memory.ts: `stores/file` may not import `stores/memory`',
    ])
  })

  test('one row of several names is one room', () => {
    const cli = 'packages/cli/src'
    expect(
      faultsOf({
        [`${cli}/terminal.ts`]: "import { files } from './files.ts'\nexport const terminal = files\n",
        [`${cli}/files.ts`]: 'export const files = 1\n',
        [`${cli}/main.ts`]: "import { files } from './files.ts'\nexport const main = files\n",
      }),
    ).toEqual([])
    expect(faultsOf({ [`${cli}/files.ts`]: "import '../src/main.ts'\n" })).toContain(
      `${cli}/files.ts:1: imports ../src/main.ts: \`files\` may not import \`main\``,
    )
  })

  test.each([
    ['a library', "import { x } from 'hono'", 'hono', '`main` may not import it'],
    ['a library by type', "import type { X } from 'hono/types'", 'hono/types', '`main` may not import it'],
    [
      'another door of a package',
      "import { y } from '@longhold/core/kms'",
      '@longhold/core/kms',
      '`main` may not import it',
    ],
    [
      'an undeclared library',
      "import { z } from 'zod'",
      'zod',
      'packages/cli/package.json does not declare zod',
    ],
    [
      'another package by path',
      "import { x } from '../../core/src/bytes.ts'",
      '../../core/src/bytes.ts',
      'leaves packages/cli/src; name the package instead',
    ],
    ['a file that is not there', "import { x } from './lost.ts'", './lost.ts', 'there is no such file'],
    [
      'a computed import',
      'export const x = (name: string) => import(name)',
      'a computed import: name',
      '`main` may not import it',
    ],
  ])('from outside: %s', (_, line, specifier, rule) => {
    expect(faultsOf({ 'packages/cli/src/main.ts': `${line}\n` })).toEqual([
      `packages/cli/src/main.ts:1: imports ${specifier}: ${rule}`,
    ])
  })

  test('node: as a value in core, where only its types may be named', () => {
    const file = 'packages/core/src/format/header.ts'
    const rule = '`format` may not import it'
    expect(
      faultsOf({ [file]: "import { KeyObject } from 'node:crypto'\nexport type Header = KeyObject\n" }),
    ).toEqual([`${file}:1: imports node:crypto: ${rule}`])
    // Not erased: an empty import would stay.
    expect(
      faultsOf({ [file]: "import { type KeyObject } from 'node:crypto'\nexport type Header = KeyObject" }),
    ).toEqual([`${file}:1: imports node:crypto: ${rule}`])
  })

  test('Buffer and process in core, but neither a type nor a local of that name', () => {
    const file = 'packages/core/src/keys/suite.ts'
    expect(faultsOf({ [file]: 'export const suite = Buffer.alloc(process.pid)\n' })).toEqual([
      `${file}: reads the global Buffer; core runs without it`,
      `${file}: reads the global process; core runs without it`,
    ])
    expect(
      faultsOf({
        [file]:
          'const { process } = globalThis as any\nexport const suite = { Buffer: process.pid as Buffer }\n',
      }),
    ).toEqual([])
  })

  test('logic, a default or a star in an index.ts', () => {
    const lines = [
      "export * from './keys/suite.ts'",
      'export const one = 1',
      'export default 2',
      "import './keys/suite.ts'",
    ]
    expect(faultsOf({ 'packages/core/src/index.ts': lines.join('\n') })).toEqual(
      lines.map((_, i) => `packages/core/src/index.ts:${i + 1}: index.ts holds named re-exports only`),
    )
  })

  test('a file in no room, and a file that does not parse', () => {
    expect(faultsOf({ 'packages/core/src/attic.ts': 'export {}\n' })).toEqual([
      'packages/core/src/attic.ts: belongs to no room of ARCHITECTURE.md',
    ])
    expect(() => faultsOf({ 'packages/core/src/bytes.ts': 'export const = 1\n' })).toThrow(
      /bytes\.ts does not parse/,
    )
  })

  test('tables without a room', () => {
    expect(() => readRooms('| room | may import |\n| --- | --- |\n')).toThrow('lists no room')
  })
})
