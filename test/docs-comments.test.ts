/** Every export of every entry says what it is, in what unit, what it throws and which section it implements. */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import {
  declarationOf,
  docOfAll,
  entriesOf,
  exportsOf,
  headOf,
  membersOf,
  readSource,
  shortPath,
  signatureOf,
} from './docs-comments.ts'
import type { Declared, Parameter } from './docs-comments.ts'

const root = join(import.meta.dirname, '..')
const packages = ['core', 'kms']

/** What throws nothing of its own: helpers for bytes, and what forgets. */
const silent = wordSet(`
  concat equalBytes fromBase64url fromHex toBase64url toHex utf8
  toString toJSON wipe close take copyOf
`)

/** Exports of core that implement no section: helpers for bytes, errors, and what keeps keys. */
const withoutSection = wordSet(`
  concat equalBytes fromHex toHex utf8 LongholdError Secret
  openKeyring Keyring DataKeyHandle
`)
/** The client of the service and the columns for Drizzle stand on the formats and define none. */
const implementsFormats = (entry: string) => /^core \.(?!\/(?:kms|drizzle)$)/.test(entry)

/** Names that say their unit, or count what they name. */
const hasUnit = (name: string) =>
  /(?:Ms|Bytes|Days|Bits|Id|Version|Chunks)$|_(?:ms|seconds|days|bytes|bits|version|count|id)$/.test(name) ||
  /^(?:bytes|bits|version|generation|status|messages|uses)$/.test(name)
const saysSize = /\d|bytes?\b|bits?\b|[KMGP]iB|SPEC §/i
/** Or that they are those of another one: as `decrypt`, as the function of that name. */
const saysErrors = /\bthrows\b|\bas (?:`|the function)/i
const citation = /SPEC §\d|RFC \d{3,5}|FIPS \d{3}|C2SP/

function wordSet(text: string): ReadonlySet<string> {
  return new Set(text.trim().split(/\s+/))
}

/** What is wrong with one export, one line each. */
function faultsOf(one: Declared, entry: string): string[] {
  const doc = docOfAll(one)
  if (doc === undefined) return ['has no doc comment']
  const node = declarationOf(one)
  const isCode = node?.type === 'ClassDeclaration' || node?.type.endsWith('Function') || signatureOf(one)
  const faults = isCode && implementsFormats(entry) ? withSection(one.name, doc) : []
  const signature = signatureOf(one)
  if (signature !== undefined) faults.push(...callFaults({ ...signature, name: one.name, doc }))
  const classSaysErrors = /Every (?:method|operation) throws/.test(doc)
  for (const member of membersOf(one)) {
    const at = (text: string) => `${member.name}: ${text}`
    if (member.kind === 'method') {
      if (member.doc === undefined && !silent.has(member.name)) faults.push(at('has no doc comment'))
      else if (member.doc !== undefined) {
        const said = classSaysErrors ? `${member.doc} @throws` : member.doc
        faults.push(...callFaults({ ...member, doc: said }).map(at))
      }
    } else faults.push(...valueFaults(member.name, member.type, member.doc ?? '').map(at))
  }
  return faults
}

function withSection(name: string, doc: string): string[] {
  return citation.test(doc) || withoutSection.has(name) ? [] : ['cites no section']
}

function callFaults(call: {
  name: string
  doc: string
  type: string
  parameters: readonly Parameter[]
}): string[] {
  const { name, doc, type, parameters } = call
  const faults: string[] = []
  if (!saysErrors.test(doc) && !silent.has(name)) faults.push('says nothing of errors')
  if (/Uint8Array/.test(type) && !saysSize.test(doc) && !silent.has(name))
    faults.push('gives bytes and no size')
  for (const parameter of parameters) {
    if (/^number\b/.test(parameter.type) && !hasUnit(parameter.name) && !saysSize.test(doc))
      faults.push(`the number ${parameter.name} has no unit`)
  }
  return faults
}

function valueFaults(name: string, type: string, doc: string): string[] {
  if (/^number\b/.test(type) && !hasUnit(name) && doc === '') return ['a number without a unit']
  if (/Uint8Array/.test(type) && !/=>/.test(type) && !saysSize.test(doc))
    return ['bytes without a size or a section']
  return []
}

const declarations = packages.flatMap((name) =>
  [...entriesOf(join(root, 'packages', name))].flatMap(([entry, path]) =>
    exportsOf(readSource(path)).map((one) => ({ entry: `${name} ${entry}`, one })),
  ),
)

test('the entries are found, and what they export', () => {
  const names = declarations.map(({ entry, one }) => `${entry} ${one.name}`)
  for (const expected of [
    'core . encrypt',
    'core . Suite',
    'core ./kms KmsClient',
    'core ./drizzle Encrypted',
    'core ./stores/postgres postgresSchema',
    'core ./mlkem1024-p384 mlKem1024P384Suite',
    'kms . startService',
  ])
    expect(names).toContain(expected)
})

test('every export has a doc comment with sizes, units, errors and its section', () => {
  const faults = declarations.flatMap(({ entry, one }) =>
    faultsOf(one, entry).map((fault) => `${shortPath(root, one)}: ${one.name}: ${fault}`),
  )
  expect([...new Set(faults)]).toEqual([])
})

test('every entry says what it is, under the name it is imported by', () => {
  for (const name of packages) {
    for (const [entry, path] of entriesOf(join(root, 'packages', name))) {
      const head = headOf(readSource(path))
      expect(head, path).toMatch(new RegExp(`@module @longhold/${name}${entry.slice(1)}\\s*$`))
      expect(head.split('@module')[0], path).toMatch(/[a-z]{3}/)
    }
  }
})

test('no exception is left over', () => {
  const names = new Set(declarations.flatMap(({ one }) => [one.name, ...membersOf(one).map((m) => m.name)]))
  expect([...silent, ...withoutSection].filter((name) => !names.has(name))).toEqual([])
})

test('every section that code, tests and documents cite is there', () => {
  const headings = new Set(
    [...readFileSync(join(root, 'packages/core/SPEC.md'), 'utf8').matchAll(/^##+ (\d+(?:\.\d+)?)\.? /gm)].map(
      ([, section]) => section,
    ),
  )
  expect(headings.size).toBeGreaterThan(20)
  const wrong = globSync(
    ['packages/*/{src,test}/**/*.ts', 'test/**/*.ts', '*.md', 'docs/*.md', 'packages/*/*.md'],
    {
      cwd: root,
      exclude: (path) => path.includes('node_modules') || path.includes('docs-comments'),
    },
  ).flatMap((path) =>
    [...readFileSync(join(root, path), 'utf8').matchAll(/SPEC §(\d+(?:\.\d+)?)/g)]
      .filter(([, section]) => !headings.has(section))
      .map(([cited]) => `${path}: ${cited}`),
  )
  expect(wrong).toEqual([])
})

describe('what is wrong with a comment is seen', () => {
  const faults = (code: string, entry = 'core .') =>
    exportsOf(readSource('a.ts', code)).flatMap((one) => faultsOf(one, entry))

  test.each([
    ['none', 'export interface A {}', ['has no doc comment']],
    ['a plain one', '/* A. */ export interface A {}', ['has no doc comment']],
    [
      'that of something else',
      '/** A. */\nconst a = 1\nexport function f(): void {}',
      ['has no doc comment'],
    ],
    ['no section', '/** F. Throws. @throws x */ export function f(): void {}', ['cites no section']],
    ['no errors', '/** F (SPEC §5). */ export function f(): void {}', ['says nothing of errors']],
    [
      'no size',
      '/** F (RFC 9180). @throws x */ export function f(): Uint8Array {}'.replace('9180', 'x'),
      ['cites no section', 'gives bytes and no size'],
    ],
    [
      'no unit',
      '/** F. @throws x */ export function f(age: number): void {}',
      ['cites no section', 'the number age has no unit'],
    ],
    ['a member without', '/** A. */ export interface A { go(): void }', ['go: has no doc comment']],
    ['a number', '/** A. */ export interface A { readonly age: number }', ['age: a number without a unit']],
    [
      'bytes',
      '/** A. */ export interface A { /** It. */ readonly id: Uint8Array }',
      ['id: bytes without a size or a section'],
    ],
    [
      'a method of a class',
      '/** A, SPEC §5. */ export class A { go(): void {} }',
      ['go: has no doc comment'],
    ],
  ])('%s', (_, code, expected) => {
    expect(faults(code)).toEqual(expected)
  })

  test('and what is well is not', () => {
    const code = `/** F (SPEC §5). @throws x */ export function f(ageMs: number): void {}
/** A, 16 bytes (SPEC §2). */ export class A { #x = 1; private constructor() {}
/** Goes. @throws x */ go(): void {} toString(): string { return '' } }`
    expect(faults(code)).toEqual([])
  })
})
