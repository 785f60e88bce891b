import { join } from 'node:path'

import { expect, test } from 'vitest'

import { MemoryStore } from '../../src/store/memory.ts'
import { WriterThread } from '../../src/store/sqlite/writer-thread.ts'
import { temporaryDirectory } from '../support/files.ts'
import { TestWriter } from '../support/rows.ts'

test('a writer that ends fails what waits and what comes, and closing does not hang', async () => {
  // It cannot open its database, and ends by that.
  const path = join(temporaryDirectory(), 'no', 'kms.db')
  const writer = new WriterThread({ path, busyTimeoutMs: 10 })
  const gone = {
    code: 'storage_unavailable',
    message: expect.stringContaining('its writer has ended') as string,
  }
  const commit = new TestWriter(new MemoryStore()).next([])
  const waiting = [1, 2, 3].map(() => writer.write(commit))
  for (const one of waiting) await expect(one).rejects.toMatchObject(gone)
  expect(writer.isAlive).toBe(false)
  await expect(writer.write(commit)).rejects.toMatchObject(gone)
  await writer.close()
})
