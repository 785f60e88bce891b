import {
  appendFileSync,
  existsSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'

import { fromText, toHex, unwrapDataKey } from '@longhold/core'
import { describe, expect, test } from 'vitest'

import { ndjson } from '../../src/sources/ndjson.ts'
import type { Page } from '../../src/sources/row-source.ts'
import type { RunState } from '../../src/sources/run-state.ts'
import type { TextFileOptions } from '../../src/sources/text-file-reader.ts'
import { openTextFile, readTextFile } from '../../src/sources/text-file.ts'
import { javaLayout, javaRow } from '../support/legacy-values.ts'
import { Directory, identity, jweOf, migrate, ownerOf, plaintextOf } from '../support/migration.ts'
import type { MigrationOptions } from '../support/migration.ts'

const columns = { own: ['body'], read: [] }

function options(path: string, more: Partial<TextFileOptions> = {}): TextFileOptions {
  return { path, shown: 'rows.ndjson', layout: ndjson('id'), columns, ...more }
}

async function migrateFile(opened: TextFileOptions, migration: MigrationOptions = {}): Promise<RunState> {
  const source = openTextFile(opened)
  try {
    return await migrate(source, migration)
  } finally {
    source.close()
  }
}

async function readRecord(path: string, text: string, id: string): Promise<string> {
  const record = fromText(text)
  const line = readFileSync(`${path}.keys.ndjson`, 'utf8')
    .split('\n')
    .filter((one) => one !== '')
    .map(
      (one) =>
        JSON.parse(one) as { key_id: string; wrapped_key: string; key_context: Record<string, string> },
    )
    .find(({ key_id }) => key_id === toHex(record.subarray(4, 20)))
  if (line === undefined) throw new Error('no data key for the record')
  const key = await unwrapDataKey(fromText(line.wrapped_key), {
    identities: [identity],
    keyContext: line.key_context,
  })
  return Buffer.from(
    key.decrypt(record, { recordContext: { table: 'rows.ndjson', column: 'body', id } }),
  ).toString()
}

/** The new file with every record put back to what it replaced: it must be the old file. */
function putBack(path: string, replaced: ReadonlyMap<string, string>): string {
  let text = readFileSync(`${path}.longhold`, 'latin1')
  for (const [record, before] of replaced) text = text.replace(record, before)
  return text
}

const recordsIn = (path: string): string[] =>
  readFileSync(`${path}.longhold`, 'latin1').match(/"TEhS[\w-]+"/g) ?? []

describe('a file', () => {
  test('keeps every byte that is not a value', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    const jwes = await Promise.all([1, 2, 3, 4, 5].map(jweOf))
    const quoted = jwes.map((jwe) => JSON.stringify(jwe))
    const content = [
      `\ufeff{"n":12345678901234567890.10,"id":1,"body":${quoted[0]},"e":1E400}\n`,
      `  {"body" :\t${quoted[1]}  ,"id" : "zwei", "x":{"body":"not this","id":[1,2]}} \r\n`,
      '\n',
      '   \r\n',
      `{"z":1,"a":"\\u00fc\\/","id":3,"body":${quoted[2]},"body2":"body"}\n`,
      `{"id":4,"body":null}\n`,
      `{"id":5}\n`,
      `{"id":9007199254740993,"body":${quoted[3]}}\r\n`,
      `{"id":"\u{1f600}","body":${quoted[4]}}`,
    ].join('')
    writeFileSync(path, content, { mode: 0o640 })
    const state = await migrateFile(options(path))
    expect(state).toMatchObject({ status: 'finished', pass: 1, migrated: 5 })
    expect(state.counts).toMatchObject({ found: 5, migrated: 5, empty: 2, dead: 0 })

    const records = recordsIn(path)
    expect(records.length).toBe(5)
    const back = new Map(records.map((record, index) => [record, quoted[index] ?? '']))
    expect(putBack(path, back)).toBe(Buffer.from(content).toString('latin1'))
    expect(readFileSync(path, 'utf8')).toBe(content)
    const ids = ['1', 'zwei', '3', '9007199254740993', '\u{1f600}']
    for (const [index, record] of records.entries()) {
      expect(await readRecord(path, record.slice(1, -1), ids[index] ?? '')).toBe(plaintextOf(index + 1))
    }
    expect(statSync(`${path}.longhold`).mode & 0o777).toBe(0o640)
    expect(existsSync(`${path}.longhold.partial`)).toBe(false)
  })

  test('the other members of a layout become null', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    const { body, wrapped_key, iv } = javaRow(plaintextOf(1), ownerOf(1))
    const line = { iv, id: 1, body, more: { wrapped_key: 'kept' }, wrapped_key, owner: ownerOf(1) }
    writeFileSync(path, `${JSON.stringify(line)}\n`)
    const java = { own: ['body', 'wrapped_key', 'iv'], read: ['owner'] }
    await migrateFile(options(path, { columns: java }), {
      formats: [{ kind: 'declared', layout: javaLayout }],
    })
    const after = JSON.parse(readFileSync(`${path}.longhold`, 'utf8')) as typeof line
    expect(after).toEqual({ ...line, iv: null, wrapped_key: null, body: after.body })
    expect(Object.keys(after)).toEqual(Object.keys(line))
    expect(await readRecord(path, after.body, '1')).toBe(plaintextOf(1))
  })

  test('members further inside, and a JWE that is an object', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    const [protectedText, encrypted_key, iv, ciphertext, tag] = (await jweOf(1)).split('.')
    const flat = { protected: protectedText, encrypted_key, iv, ciphertext, tag }
    const line = { user: { id: 7, secret: flat }, other: [] }
    writeFileSync(path, `${JSON.stringify(line, undefined, 1).replaceAll('\n', '')}\n`)
    const nested = { layout: ndjson('/user/id'), columns: { own: ['/user/secret'], read: [] } }
    const state = await migrateFile(options(path, nested))
    expect(state.counts).toMatchObject({ found: 1, migrated: 1 })
    const after = JSON.parse(readFileSync(`${path}.longhold`, 'utf8')) as { user: { secret: string } }
    expect(after).toEqual({ user: { id: 7, secret: expect.stringMatching(/^TEhS/) as string }, other: [] })
  })

  test('lines that cannot be worked on stay, and are listed', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    const value = JSON.stringify(await jweOf(1))
    const bad = [
      '{"id":1,"body":"hello"}',
      'not json',
      `{"body":${value}}`,
      `{"id":1.5,"body":${value}}`,
      `{"id":null,"body":${value}}`,
      `{"id":true,"body":${value}}`,
      `{"id":"\\ud800","body":${value}}`,
      `{"id":1,"id":2,"body":${value}}`,
      `{"id":1,"body":${value},"body":${value}}`,
      `[1]`,
      `{"id":1e3,"body":${value}}`,
    ]
    const invalid = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x7d, 0x0a])
    const good = `{"id":"good","body":${value}}\n`
    writeFileSync(path, Buffer.concat([Buffer.from(good + bad.map((line) => `${line}\n`).join('')), invalid]))
    const state = await migrateFile(options(path))
    expect(state.counts).toMatchObject({ found: 13, migrated: 1, dead: 12 })
    const reader = readTextFile(options(path), 'newest')
    expect(
      [...reader.deadLetters(state.runId)].map(({ locator, code }) => `${locator} ${code}`).toSorted(),
    ).toEqual(
      [
        'line 2 unrecognized',
        'line 3 malformed',
        'line 4 bad_id',
        'line 5 bad_id',
        'line 6 bad_id',
        'line 7 bad_id',
        'line 8 bad_id',
        'line 9 malformed',
        'line 10 malformed',
        'line 11 malformed',
        'line 12 bad_id',
        'line 13 malformed',
      ].toSorted(),
    )
    reader.close()
    const rest = readFileSync(`${path}.longhold`).subarray(readFileSync(`${path}.longhold`).indexOf('\n') + 1)
    expect(rest).toEqual(Buffer.concat([Buffer.from(bad.map((line) => `${line}\n`).join('')), invalid]))
  })

  test.each(['', '\n', '\n\n  \n'])('with nothing in it: %j', async (content) => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    writeFileSync(path, content)
    const state = await migrateFile(options(path))
    expect(state.counts).toMatchObject({ found: 0, empty: 0 })
    expect(readFileSync(`${path}.longhold`, 'utf8')).toBe(content)
  })

  test('one member of a layout inside another is refused', () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    writeFileSync(path, '')
    const inside = { columns: { own: ['/a', '/a/b'], read: [] } }
    expect(() => readTextFile(options(path, inside), 'old')).toThrow(/holds another member/)
  })
})

describe('stopping and going on', () => {
  async function makeFile(path: string, lines: number): Promise<string> {
    const all: string[] = []
    for (let id = 1; id <= lines; id++) all.push(`{"id":${id},"body":${JSON.stringify(await jweOf(id))}}`)
    const content = all.join('\n')
    writeFileSync(path, content)
    return content
  }

  async function stopEarly(path: string): Promise<RunState> {
    const controller = new AbortController()
    const onProgress = () => controller.abort()
    return await migrateFile(options(path), { run: { batchRows: 5, signal: controller.signal, onProgress } })
  }

  test('what was written after the last position is written again', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    const content = await makeFile(path, 60)
    const stopped = await stopEarly(path)
    expect(stopped.status).toBe('stopped')
    expect(existsSync(`${path}.longhold`)).toBe(false)
    appendFileSync(`${path}.longhold.partial`, '{"id":6,"body":"half a rec')
    const state = await migrateFile(options(path), { run: { batchRows: 7 } })
    expect(state).toMatchObject({ runId: stopped.runId, status: 'finished', migrated: 60 })
    expect(state.counts).toMatchObject({ found: 60, migrated: 60 })
    const records = recordsIn(path)
    const back = new Map(
      await Promise.all(
        records.map(async (record, index) => [record, JSON.stringify(await jweOf(index + 1))] as const),
      ),
    )
    expect(putBack(path, back)).toBe(content)
    const keys = readFileSync(`${path}.keys.ndjson`, 'utf8').trim().split('\n')
    expect(keys.map((line) => JSON.parse(line) as object)).toMatchObject([
      { state: 'reading' },
      { state: 'reading' },
    ])
    const messages = keys.map((line) => (JSON.parse(line) as { messages: number }).messages)
    expect(messages.reduce((sum, one) => sum + one)).toBe(60)
  })

  test('broken off between the last rename and the last note, it goes on', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 10)
    const source = openTextFile(options(path))
    const finish = source.finish.bind(source)
    source.finish = () => {
      finish()
      throw new Error('the power went out')
    }
    await expect(migrate(source)).rejects.toThrow(/power/)
    source.close()
    const state = await migrateFile(options(path))
    expect(state).toMatchObject({ status: 'finished', migrated: 10 })
    expect(recordsIn(path).length).toBe(10)
  })

  test('finished, there is nothing left to do', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 3)
    const state = await migrateFile(options(path))
    const source = openTextFile(options(path))
    expect(source.finishedRun()?.runId).toBe(state.runId)
    source.close()
    appendFileSync(path, '\n')
    const changed = openTextFile(options(path))
    expect(() => changed.finishedRun()).toThrow(/changed after rows.ndjson.longhold was made/)
    changed.close()
  })

  test('a new file that somebody else put there is not overwritten', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 3)
    writeFileSync(`${path}.longhold`, 'precious')
    await expect(migrateFile(options(path))).rejects.toThrow(/exists already/)
    expect(readFileSync(`${path}.longhold`, 'utf8')).toBe('precious')
  })

  test.each([
    ['more bytes', (path: string) => appendFileSync(path, '\n{}')],
    ['another time', (path: string) => utimesSync(path, 1, 1)],
    [
      'another file of the same name',
      (path: string) => {
        writeFileSync(`${path}.new`, readFileSync(path))
        renameSync(`${path}.new`, path)
      },
    ],
    [
      'other bytes under the same time',
      (path: string) => {
        const { atime, mtime } = statSync(path)
        writeFileSync(path, readFileSync(path, 'utf8').replace('{"id":60,', '{"id":61,'))
        utimesSync(path, atime, mtime)
      },
    ],
  ])('the old file must not change between two runs: %s', async (_, change) => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 60)
    await stopEarly(path)
    change(path)
    await expect(migrateFile(options(path))).rejects.toThrow(/changed while it was re-encrypted/)
    expect(existsSync(`${path}.longhold`)).toBe(false)
  })

  test.each([0, 5])('nor during one (after %i pages)', async (after) => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 60)
    let pages = 0
    const testingBeforeCommit = (seen: readonly Page[]) => {
      pages += seen.length
      if (pages > after) appendFileSync(path, '\n{}')
    }
    const run = { batchRows: 5, testingBeforeCommit }
    await expect(migrateFile(options(path), { run })).rejects.toThrow(/changed while it was re-encrypted/)
    expect(existsSync(`${path}.longhold`)).toBe(false)
  })

  test('without the file it had begun it goes on in no other', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 60)
    await stopEarly(path)
    renameSync(`${path}.longhold.partial`, directory.file('elsewhere'))
    writeFileSync(`${path}.longhold`, 'precious'.repeat(10_000))
    await expect(migrateFile(options(path))).rejects.toMatchObject({
      kind: 'wrong',
      message: 'rows.ndjson.longhold.partial, which the run had begun, is gone',
      hint: expect.stringMatching(/begin anew/) as string,
    })
    expect(readFileSync(`${path}.longhold`, 'utf8')).toBe('precious'.repeat(10_000))
  })

  test('a run on another member waits until the first is finished', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 60)
    await stopEarly(path)
    const partial = readFileSync(`${path}.longhold.partial`)
    const other = options(path, { columns: { own: ['other'], read: [] } })
    await expect(migrateFile(other)).rejects.toThrow(/unfinished run on rows.ndjson is on the member body/)
    expect(readFileSync(`${path}.longhold.partial`)).toEqual(partial)
    expect((await migrateFile(options(path))).status).toBe('finished')
  })

  test('two runs on one file cannot meet, by whatever name', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 3)
    const source = openTextFile(options(path))
    expect(() => openTextFile(options(path))).toThrow(/another run is at work/)
    source.close()
  })

  test('the file of keys keeps what it says of other keys, and a rewrapped key', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 40)
    await stopEarly(path)
    const keysPath = `${path}.keys.ndjson`
    const first = JSON.parse(readFileSync(keysPath, 'utf8')) as { key_id: string; wrapped_key: string }
    const foreign = { ...first, key_id: 'ff'.repeat(16), messages: 7 }
    writeFileSync(
      keysPath,
      `${JSON.stringify({ ...first, wrapped_key: 'TEhLrewrapped' })}\n${JSON.stringify(foreign)}\n`,
    )
    await migrateFile(options(path))
    const keys = readFileSync(keysPath, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as typeof foreign)
    expect(keys.length).toBe(3)
    expect(keys[0]).toMatchObject({ key_id: first.key_id, wrapped_key: 'TEhLrewrapped' })
    expect(keys[1]).toEqual(foreign)
  })

  test('a key that was destroyed stays so, also one of the run itself', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 40)
    await stopEarly(path)
    const keysPath = `${path}.keys.ndjson`
    const { key_id } = JSON.parse(readFileSync(keysPath, 'utf8')) as { key_id: string }
    const line = `{"key_id":"${key_id}","state":"destroyed","destroyed_at":"2026-01-01T00:00:00.000Z"}`
    writeFileSync(keysPath, `${line}\n`)
    await migrateFile(options(path))
    const lines = readFileSync(keysPath, 'utf8').trim().split('\n')
    expect(lines.length).toBe(2)
    expect(lines.filter((one) => one.includes(key_id))).toEqual([line])
  })

  test('the tag of a data key stays with it, also of one of the run itself', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 40)
    await stopEarly(path)
    const keysPath = `${path}.keys.ndjson`
    const line = JSON.parse(readFileSync(keysPath, 'utf8')) as object
    const vouched = { ...line, tag: 'A'.repeat(43) }
    const other = { ...vouched, key_id: '00'.repeat(16) }
    writeFileSync(keysPath, `${JSON.stringify(vouched)}\n${JSON.stringify(other)}\n`)
    await migrateFile(options(path))
    const tags = readFileSync(keysPath, 'utf8')
      .trim()
      .split('\n')
      .map((one) => (JSON.parse(one) as { tag?: string }).tag)
    expect(tags.slice(0, 2)).toEqual([vouched.tag, other.tag])
  })

  test('a damaged file of keys stops the run before a record needs it', async () => {
    using directory = new Directory()
    const path = directory.file('rows.ndjson')
    await makeFile(path, 3)
    writeFileSync(`${path}.keys.ndjson`, '{"key_id":"x"}\n')
    await expect(migrateFile(options(path))).rejects.toThrow(
      /rows.ndjson.keys.ndjson line 1 is no wrapped key/,
    )
  })
})

test('long lines and many small ones are read the same in pages of any size', () => {
  using directory = new Directory()
  const path = directory.file('rows.ndjson')
  const lines = Array.from(
    { length: 50 },
    (_, index) => `{"id":${index},"body":"${'x'.repeat(index === 25 ? 3_000_000 : index * 997)}"}`,
  )
  writeFileSync(path, lines.join('\n'))
  for (const limits of [
    { maxRows: 1, maxBytes: 1e9 },
    { maxRows: 1000, maxBytes: 10_000 },
    { maxRows: 7, maxBytes: 1e9 },
  ]) {
    const reader = readTextFile(options(path), 'old')
    const lengths: number[] = []
    let after: string | undefined
    for (;;) {
      const page = reader.read(after, limits)
      after = page.position
      lengths.push(...page.rows.map(({ cells: [cell] }) => String(cell).length))
      if (page.isLast) break
    }
    reader.close()
    expect(lengths).toEqual(lines.map((_, index) => (index === 25 ? 3_000_000 : index * 997)))
  }
})
