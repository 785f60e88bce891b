import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { expect, test } from 'vitest'

import { oldPem } from '../../packages/cli/test/support/legacy-values.ts'
import { identity, jweOf, makeNotes } from '../../packages/cli/test/support/migration.ts'
import { blocksOf, parseSession, playSession } from './session.ts'

const markdown = readFileSync(join(import.meta.dirname, '../../docs/reencrypt.md'), 'utf8')

test('the console blocks of docs/reencrypt.md, with its longhold.yaml', { timeout: 120_000 }, async () => {
  const lines = await Promise.all([1, 2, 3].map(async (id) => JSON.stringify({ id, body: await jweOf(id) })))
  const played = await playSession(parseSession(blocksOf(markdown, 'console')), async (directory) => {
    const write = (name: string, content: string) => {
      writeFileSync(join(directory, name), content, { mode: 0o600 })
    }
    await makeNotes(join(directory, 'app.db'), 40)
    write('old.pem', oldPem)
    write('identity.txt', `${identity.exportText()}\n`)
    write('recipients.txt', `${identity.recipient.toString()}\n`)
    write('longhold.yaml', blocksOf(markdown, 'yaml'))
    write('rows.ndjson', lines.join('\n'))
  })
  expect(played).toBeUndefined()
})
