import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from 'vitest'

import { FileKeyStore } from '../../src/stores/file.ts'
import { describeWrappedKeyStore, newKey, owner, wrappedKeyOf } from '../contracts/wrapped-key-store.ts'
import { codeOf, refusalOf } from '../refusals.ts'
import { filled } from '../samples.ts'

const folder = mkdtempSync(join(tmpdir(), 'longhold-file-'))
const opened: FileKeyStore[] = []
let files = 0
const newPath = () => join(folder, `${files++}.keys.ndjson`)

async function open(path = newPath()): Promise<FileKeyStore> {
  const store = await FileKeyStore.open(path)
  opened.push(store)
  return store
}

afterAll(async () => {
  for (const store of opened) await store.close()
  rmSync(folder, { recursive: true, force: true })
})

describeWrappedKeyStore('a file', () => open())

test('what was stored is there when it is opened again, the destroyed ones too', async () => {
  const path = newPath()
  const first = await open(path)
  await first.insertWriting(newKey(2, { name: 'e"\n', messages: 7, bytes: 9, tag: filled(5, 32) }), undefined)
  await first.insertWriting(newKey(1), undefined)
  await first.destroy(filled(1, 16))
  const before = [await first.get(filled(1, 16)), await first.get(filled(2, 16))]
  await first.close()
  const second = await open(path)
  expect([await second.get(filled(1, 16)), await second.get(filled(2, 16))]).toEqual(before)
})

test('a line has the members of the table, in the form of FILE.keys.ndjson', async () => {
  const path = newPath()
  const store = await open(path)
  await store.insertWriting(newKey(1), undefined)
  const line: unknown = JSON.parse(readFileSync(path, 'utf8'))
  expect(line).toEqual({
    key_id: '01'.repeat(16),
    wrapped_key: expect.stringMatching(/^TEhL[\w-]+$/),
    key_context: { tenant: 'a' },
    name: 'users',
    state: 'writing',
    messages: 0,
    bytes: 0,
    created_at: '1970-01-02T00:00:00.000Z',
    updated_at: '1970-01-02T00:00:00.000Z',
  })
  await store.setTag(filled(1, 16), filled(0xff, 32))
  expect(JSON.parse(readFileSync(path, 'utf8'))).toMatchObject({
    ...(line as object),
    tag: '_'.repeat(42) + '8',
    updated_at: expect.any(String),
  })
})

test('the file is for its owner alone, and nothing else is left beside it', async () => {
  const path = join(mkdtempSync(join(folder, 'd-')), 'keys.ndjson')
  const store = await open(path)
  expect(existsSync(path)).toBe(false)
  await store.insertWriting(newKey(1), undefined)
  chmodSync(path, 0o644)
  await store.move(filled(1, 16), 'writing', 'reading')
  expect(statSync(path).mode & 0o777).toBe(0o600)
  expect(readdirSync(join(path, '..'))).toEqual(['keys.ndjson', 'keys.ndjson.lock'])
  await store.close()
  expect(readdirSync(join(path, '..'))).toEqual(['keys.ndjson'])
})

test('a symbolic link stays one', async () => {
  const [path, link] = [newPath(), newPath()]
  writeFileSync(path, '')
  symlinkSync(path, link)
  const store = await open(link)
  await store.insertWriting(newKey(1), undefined)
  expect(readFileSync(path, 'utf8')).toContain('01'.repeat(16))
  expect(await codeOf(() => FileKeyStore.open(path))).toBe('unavailable')
})

test('what could not be written did not happen', async () => {
  const path = join(mkdtempSync(join(folder, 'd-')), 'keys.ndjson')
  const store = await open(path)
  await store.insertWriting(newKey(1), undefined)
  mkdirSync(`${path}.tmp`) // where the new file would be written
  const error = await refusalOf(() => store.destroy(filled(1, 16)))
  expect(error.code).toBe('unavailable')
  expect(await store.get(filled(1, 16))).toMatchObject({ state: 'writing', wrappedKey: wrappedKeyOf(1) })
  rmSync(`${path}.tmp`, { recursive: true })
  expect(await store.destroy(filled(1, 16))).toBe(true)
})

test('a closed store refuses, and closing twice is no error', async () => {
  const store = await open()
  await store.close()
  await store.close()
  expect(await codeOf(() => store.get(filled(1, 16)))).toBe('bad_input')
  expect(await codeOf(() => store.destroy(filled(1, 16)))).toBe('bad_input')
})

describe('a file that is not what this store writes', () => {
  test.each([
    ['no JSON', '{"key_id"'],
    ['no object', '7'],
    ['a key id that is too short', '{"key_id":"00"}'],
    ['no wrapped key', `{"key_id":"${'01'.repeat(16)}","state":"reading","messages":0,"bytes":0}`],
  ])('%s', async (_, line) => {
    const path = newPath()
    writeFileSync(path, `${line}\n`)
    const error = await refusalOf(() => FileKeyStore.open(path))
    expect(error.code).toBe('malformed')
    expect(error.message).toContain('line 1')
    expect(error.message).not.toContain('key_id')
    expect(existsSync(`${path}.lock`)).toBe(false)
  })

  test.each(['state', 'messages', 'wrapped_key', 'key_context', 'created_at'])(
    'a wrong %s',
    async (member) => {
      const path = newPath()
      const store = await open(path)
      await store.insertWriting(newKey(1), undefined)
      await store.close()
      const line = JSON.parse(readFileSync(path, 'utf8')) as object
      writeFileSync(path, JSON.stringify({ ...line, [member]: 'x!' }))
      expect(await codeOf(() => FileKeyStore.open(path))).toBe('malformed')
    },
  )

  test('a key id that stands twice', async () => {
    const path = newPath()
    const store = await open(path)
    await store.insertWriting(newKey(1), undefined)
    await store.close()
    writeFileSync(path, readFileSync(path, 'utf8').repeat(2))
    expect((await refusalOf(() => FileKeyStore.open(path))).message).toContain('line 2')
  })
})

describe('the lock', () => {
  const holder = (more: object) =>
    JSON.stringify({ pid: process.pid, host: hostname(), start: null, ...more })

  test('is for one store, in this process too', async () => {
    const path = newPath()
    const first = await open(path)
    const error = await refusalOf(() => FileKeyStore.open(path))
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain(`process ${process.pid}`)
    await first.close()
    await open(path)
  })

  test('of a process that lives is respected', async () => {
    const path = newPath()
    const child = spawn('sleep', ['60'])
    try {
      writeFileSync(`${path}.lock`, holder({ pid: child.pid }))
      expect(await codeOf(() => FileKeyStore.open(path))).toBe('unavailable')
    } finally {
      child.kill()
      await once(child, 'exit')
    }
    await open(path)
  })

  test('of a process on another machine is respected', async () => {
    const path = newPath()
    writeFileSync(`${path}.lock`, holder({ host: 'elsewhere', pid: 2 ** 22 }))
    expect((await refusalOf(() => FileKeyStore.open(path))).message).toContain('on elsewhere')
  })

  test('of an earlier process with our id, or with that of a living one, is taken over', async () => {
    const [ours, others] = [newPath(), newPath()]
    writeFileSync(`${ours}.lock`, holder({}))
    await open(ours)
    writeFileSync(`${others}.lock`, holder({ pid: process.ppid, start: '0' }))
    if (process.platform === 'linux') await open(others)
    expect(existsSync(`${others}.lock.takeover`)).toBe(false)
  })

  test('is not taken over by two', async () => {
    const path = newPath()
    writeFileSync(`${path}.lock`, holder({}))
    writeFileSync(`${path}.lock.takeover`, holder({}))
    const error = await refusalOf(() => FileKeyStore.open(path))
    expect(error.code).toBe('unavailable')
    expect(error.hint).toContain(`${path}.lock.takeover`)
  })
})

test('killed at any moment, what it said was stored is stored', async () => {
  const path = newPath()
  // Says each key's number once its insertion has resolved.
  const program = `
    const { FileKeyStore } = await import(${JSON.stringify(new URL('../../src/stores/file.ts', import.meta.url).href)})
    const store = await FileKeyStore.open(process.argv[1])
    for (let id = 1; id < 250; id++) {
      const keyId = new Uint8Array(16).fill(id)
      const wrappedKey = new Uint8Array([0x4c, 0x48, 0x4b, 1, ...keyId, ...new Uint8Array(1200)])
      await store.insertWriting({ keyId, wrappedKey, name: String(id), keyContext: [], messages: 0, bytes: 0, createdAt: new Date() }, undefined)
      process.stdout.write(id + '\\n')
    }
    await new Promise((resolve) => setTimeout(resolve, 60000))`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program, path])
  const exited = once(child, 'exit')
  let said = ''
  for await (const chunk of child.stdout) {
    said += String(chunk)
    if (said.split('\n').length > 20) child.kill('SIGKILL')
  }
  await exited
  const count = said.trim().split('\n').length
  expect(count).toBeGreaterThanOrEqual(20)
  const store = await open(path)
  const stored = await store.page({ limit: 1000 })
  expect(stored.length).toBeGreaterThanOrEqual(count)
  expect(stored.length).toBeLessThanOrEqual(count + 1)
  await store.insertWriting(newKey(255), undefined)
  expect(await store.findWriting(owner)).toMatchObject({ keyId: filled(255, 16) })
})

test.each([undefined, null, '', 7, new URL('file:///keys.ndjson')])('%s is no path', async (path) => {
  expect(await codeOf(() => FileKeyStore.open(path as never))).toBe('bad_input')
})

describe('changes that come together', () => {
  test('are written together, and what one refuses changes nothing for the others', async () => {
    const path = newPath()
    const store = await open(path)
    await store.insertWriting(newKey(1), undefined)
    const { ino } = statSync(path)
    const [tagged, refused, other, again] = await Promise.allSettled([
      store.setTag(filled(1, 16), filled(5, 32)),
      store.insertWriting(newKey(1), undefined),
      store.insertWriting(newKey(2, { name: 'other' }), undefined),
      store.insertWriting(newKey(3), undefined),
    ])
    expect(tagged).toMatchObject({ value: true })
    expect(refused).toMatchObject({ reason: { code: 'bad_input' } })
    expect(other).toMatchObject({ value: { inserted: true } })
    expect(again).toMatchObject({ value: { inserted: false, writing: { keyId: filled(1, 16) } } })
    expect(statSync(path).ino).not.toBe(ino)
    await store.close()
    expect(await (await open(path)).page({ limit: 10 })).toMatchObject([
      { tag: filled(5, 32) },
      { name: 'other' },
    ])
  })

  test('fail together when the file cannot be written, and none of them happened', async () => {
    const path = join(folder, `${files++}`, 'keys.ndjson')
    mkdirSync(join(path, '..'))
    const store = await open(path)
    await store.insertWriting(newKey(1), undefined)
    mkdirSync(`${path}.tmp`) // stands in the way of what is written aside
    const both = [
      () => store.insertWriting(newKey(2, { name: 'b' }), undefined),
      () => store.destroy(filled(1, 16)),
    ]
    expect(await Promise.all(both.map(codeOf))).toEqual(['unavailable', 'unavailable'])
    expect(await store.page({ limit: 10 })).toMatchObject([{ keyId: filled(1, 16) }])
    rmSync(`${path}.tmp`, { recursive: true })
    expect(await store.destroy(filled(1, 16))).toBe(true)
  })

  test('are all written before close ends', async () => {
    const path = newPath()
    const store = await open(path)
    const inserted = [1, 2, 3].map((n) => store.insertWriting(newKey(n, { name: `n${n}` }), undefined))
    await store.close()
    await Promise.all(inserted)
    expect(await (await open(path)).page({ limit: 10 })).toHaveLength(3)
  })
})
