import { join } from 'node:path'

import { expect, test } from 'vitest'

import { WriterThread } from '../../src/store/sqlite/writer-thread.ts'
import { temporaryDirectory } from '../support/files.ts'
import { TestChain } from '../support/rows.ts'

test('a writer that ends fails what waits and what comes, and closing does not hang', async () => {
  // It cannot open its database, and ends by that.
  const path = join(temporaryDirectory(), 'no', 'kms.db')
  const writer = new WriterThread({ path, busyTimeoutMs: 10 })
  const gone = {
    code: 'storage_unavailable',
    message: expect.stringContaining('its writer has ended') as string,
  }
  const audit = new TestChain().next()
  const waiting = [1, 2, 3].map(() => writer.write('append', undefined, audit))
  for (const one of waiting) await expect(one).rejects.toMatchObject(gone)
  expect(writer.isAlive).toBe(false)
  await expect(writer.write('append', undefined, audit)).rejects.toMatchObject(gone)
  await writer.close()
})
