/**
 * The whole line in one minute: letters under RSA-wrapped keys go in, records under post-quantum keys come out, while
 * the application goes on writing. Everything is real: an SQLite database, the command line, the key service and the
 * application in processes of their own, and a SIGKILL in the middle.
 *
 * `pnpm demo [--letters N] [--updates-per-second N]`
 */

import { generateKeyPairSync, randomInt } from 'node:crypto'
import { appendFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'

import { LongholdError } from '@longhold/core'
import { KmsClient, KmsIdentity } from '@longhold/core/kms'

import { column, createLetters, migratedLetters, storedBytes, table } from './letters.ts'
import { LetterReader } from './new-application.ts'
import { longhold, longholdKilled, startApplication, startKeyService } from './processes.ts'
import type { Place, RunningApplication, RunningService } from './processes.ts'

/** What no flag can say: how the Java releases spread a letter over columns. */
const javaLayout = `
reencrypt:
  formats:
    java-columns:
      wrapped-key: { column: wrapped_key, encoding: base64 }
      iv: { column: iv, encoding: base64 }
      ciphertext: { encoding: base64 }
      tag: end
      oaep: { hash: sha256, mgf1-hash: sha1 }
      cipher: aes-256-gcm
`

interface RunReport {
  readonly found: number
  readonly replaced_all_passes: number
  readonly conflicts_all_passes: number
  readonly dead: number
  readonly passes: number
}

const { values } = parseArgs({
  options: {
    letters: { type: 'string', default: '20000' },
    'updates-per-second': { type: 'string', default: '1000' },
  },
})
const count = Number(values.letters)
if (!Number.isInteger(count) || count < 2000) {
  throw new Error(
    '--letters is a whole number from 2000 on: with fewer, the run ends before it can be killed',
  )
}
const directory = mkdtempSync(join(tmpdir(), 'longhold-demo-'))
const place: Place = { directory }
const path = join(directory, 'app.db')
const privateKeyPath = join(directory, 'old-rsa-key.pem')
const publicKeyPath = join(directory, 'old-rsa-key.pub.pem')
const target = ['app.db', '--table', table, '--column', column]
let service: RunningService | undefined
let application: RunningApplication | undefined

const begun = performance.now()
const seconds = (since: number) => (performance.now() - since) / 1000
const number = (n: number) => n.toLocaleString('en-US', { maximumFractionDigits: 0 })
const indented = (text: string) => text.trimEnd().replaceAll(/^/gm, '    ')
let step = 0
const say = (title: string, ...lines: string[]) => {
  console.log([`\n${++step}. ${title}`, ...lines.map((line) => `   ${line}`)].join('\n'))
}

try {
  const rsa = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  })
  writeFileSync(privateKeyPath, rsa.privateKey, { mode: 0o600 })
  writeFileSync(publicKeyPath, rsa.publicKey)
  await createLetters(path, count, rsa.publicKey)
  const bytesBefore = storedBytes(path)
  say(
    'What there is: an SQLite table under RSA',
    `${number(count)} letters, half of them JWE (RSA-OAEP-256), half in three columns as Java wrote them`,
    '(OAEP with SHA-256 and MGF1 with SHA-1). Whoever copies them now reads them when a quantum computer',
    'opens the RSA-2048 key.',
  )

  await longhold(place, 'init', '--key', 'letters')
  appendFileSync(join(directory, 'longhold.yaml'), javaLayout)
  service = await startKeyService(place)
  place.kmsUrl = service.url
  say(
    'A key service, as its own process',
    `$ longhold init --key letters && longhold kms serve      ${service.url}`,
    'It keeps X25519 + ML-KEM-768 keys, sealed under a root key. Data never reaches it.',
  )

  const plan = await longhold(place, 'reencrypt', 'plan', ...target, '--private-key', privateKeyPath)
  say('$ longhold reencrypt plan', 'Reads everything, changes nothing:')
  console.log(`\n${indented(plan)}`)

  const run = ['reencrypt', 'run', ...target, '--private-key', privateKeyPath, '--execute']
  application = startApplication(path, publicKeyPath, String(count), values['updates-per-second'])
  const killAt = Math.round(count * (randomInt(10, 50) / 100))
  let runBegun = performance.now()
  await longholdKilled(place, () => migratedLetters(path) >= killAt, ...run)
  const firstSeconds = seconds(runBegun)
  const atKill = migratedLetters(path)
  say(
    '$ longhold reencrypt run --execute, killed with SIGKILL',
    `The application goes on revising letters, and writes them the old way. After ${firstSeconds.toFixed(1)} s, with`,
    `${number(atKill)} of ${number(count)} letters done, the run is killed: no warning, no clean-up.`,
  )

  runBegun = performance.now()
  const resumed = longhold(place, ...run, '--json')
  const firstPassDone = async () => {
    while (migratedLetters(path) < count * 0.9) await sleep(50)
  }
  await Promise.race([firstPassDone(), resumed])
  const account = await application.stop()
  application = undefined
  const report = JSON.parse(await resumed) as RunReport
  const runSeconds = firstSeconds + seconds(runBegun)
  say(
    '$ longhold reencrypt run --execute, the same command again',
    `It goes on where it was. The application made ${number(account.updates)} updates in the meantime; ${number(report.conflicts_all_passes)} of`,
    'them fell between the moment a letter was read and the moment its replacement was written. Such a letter',
    `is left alone and read again: ${report.passes} passes, until one found nothing more to do.`,
  )

  const verified = await longhold(place, 'reencrypt', 'verify', ...target)
  say('$ longhold reencrypt verify', 'Opens every letter, through the key service:')
  console.log(`\n${indented(verified)}`)

  const client = new KmsClient({
    url: service.url,
    token: readFileSync(join(directory, '.longhold/kms/admin.token'), 'utf8').trim(),
  })
  const bodiesBefore = storedBytes(path)
  await longhold(place, 'kms', 'rotate', 'letters')
  const rewrapped = await longhold(place, 'rewrap', '--sqlite', 'app.db')
  say('$ longhold kms rotate letters && longhold rewrap --sqlite app.db')
  console.log(indented(rewrapped))
  if (storedBytes(path) !== bodiesBefore) throw new Error('rewrapping touched a letter')

  const reader = new LetterReader(path, new KmsIdentity(client, { keys: ['letters'] }))
  const first = await reader.read(1)
  const wrong = await reader.read(1, 2).catch((error: unknown) => error)
  if (!(wrong instanceof LongholdError) || wrong.code !== 'cannot_open') {
    throw new Error('a letter opened under the context of another')
  }
  say(
    'The application, reading through the library',
    `letter 1:                   ${first.split('\n')[0]}`,
    `letter 1 posing as letter 2: ${wrong.message}`,
  )

  const lost = await reader.lost(count, account.revisions)
  reader.close()
  const replaced = report.replaced_all_passes
  console.log(
    [
      '',
      `records            ${number(report.found)}`,
      `bytes before       ${number(bytesBefore)}`,
      `bytes after        ${number(storedBytes(path))}`,
      `records per second ${number(replaced / runSeconds)} (${number(replaced)} replaced in ${runSeconds.toFixed(1)} s, the application beside it)`,
      `updates meanwhile  ${number(account.updates)}, ${number(report.conflicts_all_passes)} between read and write`,
      `not opened         ${number(report.dead)}`,
      `lost               ${number(lost.length)}`,
      `all in all         ${seconds(begun).toFixed(0)} s`,
      '',
      'What it does not do: RSA-wrapped copies that somebody already took stay readable with a quantum computer.',
    ].join('\n'),
  )
  if (lost.length > 0 || report.dead > 0) process.exitCode = 1
} finally {
  await application?.stop().catch(() => undefined)
  await service?.stop()
  rmSync(directory, { recursive: true, force: true })
}
