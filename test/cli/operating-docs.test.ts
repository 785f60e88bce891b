import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { encrypt, generateIdentity } from '@longhold/core'
import { KmsClient, kmsRecipient } from '@longhold/core/kms'
import { expect, onTestFinished, test } from 'vitest'

import { initService, startService } from '../../packages/kms/src/index.ts'
import { parseSession, playSession } from './session.ts'

const markdown = readFileSync(join(import.meta.dirname, '../../docs/operating.md'), 'utf8')

/** Blocks in lists are indented as their items are. */
function consoleBlocks(): string {
  let indent: string | undefined
  return markdown
    .split('\n')
    .map((line) => {
      const [, before, word] = /^( *)```(\w*)$/u.exec(line) ?? []
      if (before === undefined) return indent === undefined ? '' : line.slice(indent.length)
      indent = word === 'console' ? before : undefined
      return ''
    })
    .join('\n')
}

/** What happens between the backup and the loss. */
const meanwhile = [
  'longhold kms rotate payments',
  'longhold kms versions compromise payments 1',
  'longhold kms audit checkpoint --output checkpoint.json >>said',
].join(' >>said 2>&1 && ')

test('the backup and the restoration in docs/operating.md', { timeout: 120_000 }, async () => {
  const steps = parseSession(consoleBlocks())
  const restoring = steps.findIndex(({ command }) => command.includes('--data-dir restored'))
  const lost = { line: 0, kind: '$', command: meanwhile, expected: [] }
  const session = [...steps.slice(0, restoring), lost, ...steps.slice(restoring)]
  const played = await playSession(session, async (directory) => {
    const write = (name: string, content: string | Uint8Array): string => {
      const path = join(directory, name)
      writeFileSync(path, content, { mode: 0o600 })
      return path
    }
    const offline = generateIdentity()
    write('offline.key', `${offline.exportText()}\n`)
    const recipientsFile = write('backup-recipients.txt', `${offline.recipient.toString()}\n`)
    const paths = { dataDir: join(directory, 'data'), adminSocket: 'none' }
    const { fingerprint, tokenFile } = await initService({ ...paths, firstKey: 'payments' })
    const service = await startService({ ...paths, port: 0, backups: { recipientsFile } })
    onTestFinished(() => service.close())
    const admin = new KmsClient({ url: service.url, token: readFileSync(tokenFile, 'utf8').trim() })
    const recipients = [await kmsRecipient(admin, 'payments')]
    write('sample.lh', await encrypt(Buffer.from('what was encrypted before\n'), { recipients }))
    return { LONGHOLD_KMS_URL: service.url, LONGHOLD_KMS_TOKEN_FILE: tokenFile, FINGERPRINT: fingerprint }
  })
  expect(played).toBeUndefined()
})
