/** Whether what was answered is on the disk: seen from outside the process, by the system calls it makes. */

import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

import { toBase64url } from '@longhold/core'
import { KmsClient } from '@longhold/core/kms'
import { expect, test } from 'vitest'

import { initService } from '../../src/server/init.ts'
import { temporaryDirectory } from '../support/files.ts'
import { serveUnder } from '../support/process.ts'
import { encodeStanza, readToken, wrapFor } from '../support/service.ts'

const cannotTrace = spawnSync('strace', ['-f', '-e', 'trace=none', 'true']).status !== 0

test('the log is synced before each answer: fdatasync of it ends before the answer is written', async ({
  skip,
}) => {
  skip(cannotTrace, 'strace is not installed, or may not trace here')
  const place = temporaryDirectory()
  const dataDir = join(place, 'data')
  await initService({ dataDir, firstKey: 'first' })
  const trace = join(place, 'trace')
  // The tracer is beside the service, whose own process is the one that gets signals.
  const calls = 'trace=fsync,fdatasync,write,writev'
  const serving = await serveUnder(
    ['strace', '-D', '-f', '-y', '-qq', '-s', '16', '-e', calls, '-e', 'signal=none', '-o', trace],
    '--data-dir',
    dataDir,
    '--log',
    'silent',
  )
  const token = readToken(join(dataDir, 'admin.token'))
  const client = new KmsClient({ url: serving.url, token })
  const { stanza, dataKey } = await wrapFor(client, ['first'])
  const item = { id: '1', key_id: toBase64url(dataKey.keyId), stanza: toBase64url(encodeStanza(stanza)) }
  const answers = 10
  for (let asked = 0; asked < answers; asked++) {
    const response = await fetch(`${serving.url}/v1/unwrap`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ items: [{ ...item, context: {} }] }),
    })
    expect(response.status).toBe(200)
    await response.arrayBuffer()
  }
  await serving.stop('SIGTERM')

  // In the order in which calls ended. One that took a while has a line for its beginning, which names the file, and
  // one for its end; the number of the thread stands in front of both.
  const under = new Set<string>()
  const order = readFileSync(trace, 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [thread = ''] = line.split(' ', 1)
      if (/(?:fsync|fdatasync)\(\d+<[^>]*kms\.db-wal>\) += 0/u.test(line)) return ['sync']
      if (/(?:fsync|fdatasync)\(\d+<[^>]*kms\.db-wal> <unfinished/u.test(line)) under.add(thread)
      if (/(?:fsync|fdatasync) resumed>\) += 0/u.test(line) && under.delete(thread)) return ['sync']
      return /writev?\(\d+<[^>]*socket[^>]*>, .*HTTP\/1\.1 200/u.test(line) ? ['answer'] : []
    })
  // The public key, and the unwraps.
  expect(order.filter((what) => what === 'answer')).toHaveLength(answers + 1)
  const unwraps = order.slice(order.indexOf('answer'))
  const beforeAnswers = unwraps.flatMap((what, index) =>
    what === 'answer' && index > 0 ? [unwraps[index - 1]] : [],
  )
  expect(beforeAnswers).toEqual(Array.from({ length: answers }, () => 'sync'))
  expect(unwraps.filter((what) => what === 'sync').length).toBeGreaterThanOrEqual(answers)
})
