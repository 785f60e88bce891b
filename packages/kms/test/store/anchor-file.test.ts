import { chmodSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { AnchorFile } from '../../src/store/anchor-file.ts'
import { temporaryDirectory } from '../support/files.ts'

const head = { clusterId: new Uint8Array(16).fill(1), epoch: 7, rowCount: 3, mac: new Uint8Array(32).fill(2) }

test('comes back as it was written, for its owner only, and leaves nothing beside it', async () => {
  const directory = temporaryDirectory()
  const anchor = new AnchorFile(join(directory, 'anchor'))
  expect(await anchor.read()).toBeUndefined()
  await anchor.write(head)
  expect(await anchor.read()).toEqual(head)
  await anchor.write({ ...head, epoch: 8 })
  expect(await anchor.read()).toEqual({ ...head, epoch: 8 })
  expect(statSync(anchor.place).mode & 0o077).toBe(0)
  expect(readdirSync(directory)).toEqual(['anchor'])
})

test('that cannot be written says where and keeps the one before', async () => {
  const directory = temporaryDirectory()
  const anchor = new AnchorFile(join(directory, 'anchor'))
  await anchor.write(head)
  // In the way of the file that takes its place.
  mkdirSync(`${anchor.place}.new`)
  await expect(anchor.write({ ...head, epoch: 8 })).rejects.toMatchObject({
    code: 'storage_unavailable',
    message: expect.stringContaining(anchor.place) as string,
  })
  expect(await anchor.read()).toEqual(head)
  const nowhere = new AnchorFile(join(directory, 'no', 'anchor'))
  await expect(nowhere.write(head)).rejects.toMatchObject({ code: 'storage_unavailable' })
  expect(existsSync(join(directory, 'no'))).toBe(false)
})

test('that is a directory cannot be read', async () => {
  const directory = temporaryDirectory()
  chmodSync(directory, 0o700)
  await expect(new AnchorFile(directory).read()).rejects.toMatchObject({ code: 'bad_config' })
})
