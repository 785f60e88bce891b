/** Our vector files, each through the library's real encoders and decoders on both backends. */

import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { generate } from './vectors/generate.ts'
import { operations } from './vectors/operations.ts'
import { runVectorFile } from './vectors/runner.ts'
import type { VectorReport } from './vectors/runner.ts'
import type { VectorCase, VectorFile } from './vectors/schema.ts'

const folder = join(import.meta.dirname, 'vectors/longhold')
const read = (name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as VectorFile
const runCommand = join(import.meta.dirname, 'vectors/run.ts')

async function run(content: VectorFile): Promise<VectorReport> {
  const report: VectorReport = { passed: 0, unsupported: 0, failures: [] }
  await runVectorFile('file', content, report, read('records.json'))
  return report
}

test.each(readdirSync(folder).filter((name) => name.endsWith('.json')))('%s', async (name) => {
  const report = await run(read(name))
  expect(report.failures).toEqual([])
  expect(report.passed + report.unsupported).toBeGreaterThan(0)
})

const published = join(import.meta.dirname, 'vectors/published')
const readPublished = (name: string) => JSON.parse(readFileSync(join(published, name), 'utf8')) as VectorFile

test.each(readdirSync(published))('published: %s', async (name) => {
  const report: VectorReport = { passed: 0, unsupported: 0, failures: [] }
  await runVectorFile(name, readPublished(name), report, readPublished('records.json'))
  expect(report).toEqual({ passed: readPublished(name).cases?.length, unsupported: 0, failures: [] })
})

test('the published vectors are what the generator writes, to the byte', async () => {
  await generate() // an earlier run leaves nothing behind
  const files = await generate()
  expect(readdirSync(published).toSorted()).toEqual([...files.keys()].toSorted())
  const differing = [...files].filter(
    ([name, file]) => file.text() !== readFileSync(join(published, name), 'utf8'),
  )
  expect(differing.map(([name]) => name)).toEqual([])
})

test('the published vectors have every op and every kind of refusal, each with its reason', () => {
  const cases = readdirSync(published).flatMap((name) => readPublished(name).cases ?? [])
  const refused = cases.filter(({ result }) => result === 'refused')
  expect(cases.length).toBeGreaterThanOrEqual(400)
  expect(refused.length).toBeGreaterThan(cases.length / 2)
  expect([...new Set(cases.map(({ op }) => op))].toSorted()).toEqual(Object.keys(operations).toSorted())
  const kinds =
    'malformed unsupported no-recipient cannot-open limit bad-context bad-key bad-text bad-value bad-input'
  expect(new Set(refused.map(({ kind }) => kind))).toEqual(new Set(kinds.split(' ')))
  expect(refused.filter(({ comment = '' }) => comment === '').map(({ id }) => id)).toEqual([])
  expect(new Set(cases.map(({ id }) => id)).size).toBe(cases.length)
})

const oneCase = (name: string, change: Partial<VectorCase>, index = 0): VectorFile => {
  const vector = read(name).cases?.[index]
  if (vector === undefined) throw new Error(`${name} has no case ${index}`)
  return { cases: [{ ...vector, ...change }] }
}

test('a wrong expectation is a failure on both backends', async () => {
  expect((await run(oneCase('data-keys.json', { keyId: '00'.repeat(16) }))).failures).toHaveLength(2)
  expect((await run(oneCase('contexts.json', { canonical: '0001' }))).failures).toHaveLength(2)
  expect((await run(oneCase('records.json', { plaintext: { hex: '00' } }))).failures).toHaveLength(2)
})

test('a replay that differs is a failure, on the backend that can replay', async () => {
  expect((await run(oneCase('records.json', { salt: '00'.repeat(24) }))).failures).toHaveLength(2)
  const { recipients = [] } = read('wrapped-keys.json').cases?.[0] ?? {}
  const other = recipients.map((recipient) => ({ ...recipient, encapsSeed: '11'.repeat(64) }))
  const { failures } = await run(oneCase('wrapped-keys.json', { recipients: other }))
  expect(failures).toHaveLength(1)
  expect(failures[0]).toContain('noble')
})

test('an accepted refusal and another kind are failures', async () => {
  const accepted = await run(oneCase('records.json', { result: 'refused', kind: 'cannot-open' }))
  expect(accepted.failures[0]).toContain('accepted')
  const otherKind = await run(oneCase('records-refused.json', { kind: 'unsupported' }))
  expect(otherKind.failures[0]).toContain('instead of unsupported')
})

test('a file without cases is a failure, an unknown op is unsupported', async () => {
  expect((await run({ cases: [] })).failures).toEqual(['file: no cases'])
  expect(await run(oneCase('records.json', { op: 'sing' }))).toMatchObject({ unsupported: 1, failures: [] })
})

test('the command prints a failure and the totals, and exits 1', () => {
  const dir = mkdtempSync(join(tmpdir(), 'longhold-vectors-'))
  try {
    const good = execFileSync(process.execPath, [runCommand, join(folder, 'contexts.json')], {
      encoding: 'utf8',
    })
    expect(good).toMatch(/^7 passed, 0 failed, 0 unsupported\n$/)
    const path = join(dir, 'bad.json')
    writeFileSync(path, JSON.stringify(oneCase('contexts.json', { canonical: '0001' })))
    const bad = spawnSync(process.execPath, [runCommand, path, join(dir, 'missing.json')], {
      encoding: 'utf8',
    })
    expect(bad.stdout).toMatch(/contexts-1 .*native: canonical: 0000 instead of 0001/)
    expect(bad.stdout).toMatch(/missing\.json: ENOENT/)
    expect(bad.stdout).toMatch(/\n0 passed, 3 failed, 0 unsupported\n$/)
    expect(bad.status).toBe(1)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})
