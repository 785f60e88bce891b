import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { afterAll, describe, expect, test } from 'vitest'

import { KeyFile } from '../../src/seal/key-file.ts'
import { slotOpenerContract } from '../contracts/slot-opener.ts'
import { temporaryDirectory } from '../support/files.ts'
import { MemoryOpener } from '../support/memory-opener.ts'

const directory = mkdtempSync(join(tmpdir(), 'longhold-kms-'))
afterAll(() => rmSync(directory, { recursive: true }))
let made = 0

slotOpenerContract('key file', () => KeyFile.readOrCreate(join(directory, `${++made}.key`)).keyFile)
slotOpenerContract('memory, in tests', () => new MemoryOpener())

describe('a key file', () => {
  test('is made once: 32 bytes for its owner, different each time', () => {
    const [one, two] = [join(temporaryDirectory(), 'root.key'), join(temporaryDirectory(), 'root.key')]
    expect(KeyFile.readOrCreate(one).isNew).toBe(true)
    KeyFile.readOrCreate(two)
    expect(statSync(one)).toMatchObject({ size: 32, mode: 0o100600 })
    expect(readFileSync(one)).not.toEqual(readFileSync(two))
  })

  test('that is there is used and left as it is', async () => {
    const path = join(temporaryDirectory(), 'root.key')
    const first = KeyFile.readOrCreate(path).keyFile
    const before = readFileSync(path)
    const again = KeyFile.readOrCreate(path)
    expect(again.isNew).toBe(false)
    expect(readFileSync(path)).toEqual(before)
    const sealed = await first.seal(new Uint8Array(32), new Uint8Array(0))
    expect((await again.keyFile.open(sealed, new Uint8Array(0))).length).toBe(32)
  })

  test.each([0o640, 0o604, 0o660, 0o644, 0o601])('with mode %o is refused, with what to do', (mode) => {
    const path = join(temporaryDirectory(), 'root.key')
    KeyFile.readOrCreate(path)
    chmodSync(path, mode)
    for (const read of [() => KeyFile.read(path), () => KeyFile.readOrCreate(path)]) {
      expect(read).toThrow(expect.objectContaining({ code: 'wrong_key_file', hint: `chmod 600 ${path}` }))
    }
  })

  test.each([0, 31, 33, 64])('of %i bytes is refused and left as it is', (length) => {
    const path = join(temporaryDirectory(), 'root.key')
    const content = Buffer.alloc(length, 7)
    writeFileSync(path, content, { mode: 0o600 })
    expect(() => KeyFile.readOrCreate(path)).toThrow(/is not 32 bytes long/u)
    expect(readFileSync(path)).toEqual(content)
  })

  test('that is empty may be one whose making was cut short: says so', () => {
    const path = join(temporaryDirectory(), 'root.key')
    writeFileSync(path, '', { mode: 0o600 })
    const hint = expect.stringContaining('delete it if no database was made with it') as string
    expect(() => KeyFile.readOrCreate(path)).toThrow(
      expect.objectContaining({ code: 'wrong_key_file', hint }),
    )
  })

  test('that is missing, a directory or in no directory is refused by name', () => {
    const place = temporaryDirectory()
    mkdirSync(join(place, 'directory.key'))
    expect(() => KeyFile.read(join(place, 'root.key'))).toThrow(`there is no key file ${place}/root.key`)
    expect(() => KeyFile.read(join(place, 'directory.key'))).toThrow(`${place}/directory.key is not a file`)
    expect(() => KeyFile.readOrCreate(join(place, 'no', 'root.key'))).toThrow(`there is no key file`)
  })

  test('opens for the right database only, and says which file is wrong', async () => {
    const [ours, theirs] = ['ours.key', 'theirs.key'].map((name) => join(temporaryDirectory(), name))
    const bound = new Uint8Array(3)
    const sealed = await KeyFile.readOrCreate(theirs ?? '').keyFile.seal(new Uint8Array(32), bound)
    await expect(KeyFile.readOrCreate(ours ?? '').keyFile.open(sealed, bound)).rejects.toThrow(
      `${ours} is not the key file of this database`,
    )
  })
})
