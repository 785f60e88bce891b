import { execFileSync } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

import { ciphertextSize, decrypt, encrypt, generateIdentity } from '@longhold/core'
import { decryptFile, encryptFile } from '@longhold/core/node'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'

import { toHex } from '../../src/bytes.ts'
import { backend } from '../../src/primitives/backend.ts'
import { changed, patterned } from '../samples.ts'

const identity = generateIdentity()
const context = { tenant: 'acme' }
const writing = { recipients: [identity.recipient], context }
const reading = { identities: [identity], context }

let folder = ''
const path = (name: string) => join(folder, name)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhold-files-'))
})
afterEach(async () => {
  vi.restoreAllMocks()
  await rm(folder, { recursive: true })
})

const mebibyte = 1 << 20
const sizes = [
  0,
  1,
  16_383,
  16_384,
  16_385,
  mebibyte - 1,
  mebibyte,
  mebibyte + 1,
  2 * mebibyte,
  3 * mebibyte + 20_000,
]

test.each(sizes)('%i bytes: files and one-shot functions open each other', async (length) => {
  const plaintext = patterned(length)
  await writeFile(path('plain'), plaintext)
  await encryptFile(path('plain'), path('sealed'), writing)
  const envelope = await readFile(path('sealed'))
  expect(envelope).toHaveLength(ciphertextSize(length))
  expect(Buffer.compare(await decrypt(envelope, reading), plaintext)).toBe(0)

  await writeFile(path('sealed'), await encrypt(plaintext, writing))
  await decryptFile(path('sealed'), path('opened'), reading)
  expect(Buffer.compare(await readFile(path('opened')), plaintext)).toBe(0)
  expect(await readdir(folder)).toEqual(['opened', 'plain', 'sealed'])
})

test('in its own place, and by URL; what it made is for the eyes of its owner', async () => {
  const url = pathToFileURL(path('a b'))
  await writeFile(url, 'text')
  await encryptFile(url, url, writing)
  expect((await readFile(url)).length).toBe(ciphertextSize(4))
  await chmod(url, 0o644)
  await decryptFile(url, url, reading)
  expect(await readFile(url, 'utf8')).toBe('text')
  expect((await stat(url)).mode & 0o777).toBe(0o600)
  expect(await readdir(folder)).toEqual(['a b'])
})

test('cut off anywhere, nothing appears and what was there stays', async () => {
  const envelope = await encrypt(patterned(2 * mebibyte + 100), writing)
  await writeFile(path('opened'), 'what was there')
  const head = ciphertextSize(0) - 16
  const cuts = [0, 5, 100, head, head + 15, head + 16, head + 16_400, head + 64 * 16_400, envelope.length - 1]
  for (const length of cuts) {
    await writeFile(path('sealed'), envelope.subarray(0, length))
    await expect(decryptFile(path('sealed'), path('opened'), reading), `${length}`).rejects.toMatchObject({
      code: length < head + 16 ? 'malformed' : 'cannot_open',
    })
    expect(await readFile(path('opened'), 'utf8')).toBe('what was there')
    expect(await readdir(folder)).toEqual(['opened', 'sealed'])
  }
})

test.each([
  ['a byte behind the end', (envelope: Uint8Array) => changed(new Uint8Array([...envelope, 0]), 0)],
  ['the last byte', (envelope: Uint8Array) => flipped(envelope, envelope.length - 1)],
  ['a byte of the 70th chunk', (envelope: Uint8Array) => flipped(envelope, ciphertextSize(0) + 70 * 16_400)],
  ['a byte of the commitment', (envelope: Uint8Array) => flipped(envelope, ciphertextSize(0) - 20)],
])('altered: %s', async (_, change) => {
  await writeFile(path('sealed'), change(await encrypt(patterned(80 * 16_384 + 1), writing)))
  await expect(decryptFile(path('sealed'), path('opened'), reading)).rejects.toMatchObject({
    code: 'cannot_open',
  })
  expect(await readdir(folder)).toEqual(['sealed'])
})

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return changed(bytes, at, (bytes[at] ?? 0) ^ 1)
}

test('a header longer than a page is read', async () => {
  const others = Array.from({ length: 31 }, () => generateIdentity().recipient)
  await writeFile(path('plain'), 'text')
  await encryptFile(path('plain'), path('sealed'), { recipients: [...others, identity.recipient] })
  await decryptFile(path('sealed'), path('opened'), { identities: [identity] })
  expect(await readFile(path('opened'), 'utf8')).toBe('text')
})

test('refused before anything is written', async () => {
  await writeFile(path('plain'), 'text')
  const [from, to] = [path('plain'), path('out')]
  const misspelt = { ...writing, contxt: {} } as never
  await expect(encryptFile(from, to, misspelt)).rejects.toMatchObject({ code: 'bad_input' })
  const signal = 'now' as never
  await expect(encryptFile(from, to, { ...writing, signal })).rejects.toMatchObject({ code: 'bad_input' })
  await expect(decryptFile(from, to, { ...reading, signal })).rejects.toMatchObject({ code: 'bad_input' })
  await expect(encryptFile(from, to, undefined as never)).rejects.toMatchObject({ code: 'bad_input' })
  await expect(encryptFile(from, to, { recipients: [] })).rejects.toMatchObject({ code: 'bad_input' })
  await expect(decryptFile(from, to, { ...reading, contxt: {} } as never)).rejects.toMatchObject({
    code: 'bad_input',
  })
  await expect(decryptFile(from, to, reading)).rejects.toMatchObject({ code: 'malformed' })
  await expect(encryptFile(path('none'), to, writing)).rejects.toMatchObject({ code: 'ENOENT' })
  await expect(encryptFile(from, path('none/out'), writing)).rejects.toMatchObject({ code: 'ENOENT' })
  expect(await readdir(folder)).toEqual(['plain'])
})

test('a pipe, a device or a folder is not replaced; a link is', async () => {
  await writeFile(path('plain'), 'text')
  await mkdir(path('folder'))
  execFileSync('mkfifo', [path('pipe')])
  await symlink('/dev/null', path('device'))
  for (const to of ['folder', 'pipe', 'device'])
    await expect(encryptFile(path('plain'), path(to), writing)).rejects.toMatchObject({ code: 'bad_input' })
  await symlink('plain', path('link'))
  await encryptFile(path('plain'), path('link'), writing)
  expect(await readFile(path('plain'), 'utf8')).toBe('text')
  expect(await readdir(folder)).toEqual(['device', 'folder', 'link', 'pipe', 'plain'])
})

test('given up by a signal, with its reason; nothing is left behind, no key either', async () => {
  await writeFile(path('plain'), patterned(3 * mebibyte))
  const asked = vi.spyOn(backend(), 'aes256gcm')
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(encryptFile(path('plain'), path('sealed'), { ...writing, signal })).rejects.toThrow('enough')
  await encryptFile(path('plain'), path('sealed'), writing)
  await expect(decryptFile(path('sealed'), path('opened'), { ...reading, signal })).rejects.toThrow('enough')
  await decryptFile(path('sealed'), path('opened'), reading)
  expect(await readdir(folder)).toEqual(['opened', 'plain', 'sealed'])
  // Each message has its key behind the one that the data key was wrapped under.
  const keys = asked.mock.calls.map(([key]) => toHex(key))
  expect(keys.filter((_, i) => i % 2 === 1)).toEqual(Array.from({ length: 4 }, () => '00'.repeat(32)))
})
