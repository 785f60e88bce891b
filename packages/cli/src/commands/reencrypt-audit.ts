/** `longhold reencrypt report` and `check-report`: what an auditor gets, and how it is checked. */

import type { KeyObject } from 'node:crypto'

import { PrivateKeySet } from '../legacy-keys/private-key-set.ts'
import { reportPage } from '../reencrypt/report-page.ts'
import {
  fingerprintOf,
  generateSigningKey,
  isSignatureOf,
  parseSigningKey,
  parseVerifyingKey,
  signReport,
} from '../reencrypt/report-signature.ts'
import { reportOf } from '../reencrypt/report.ts'
import { survey } from '../reencrypt/survey.ts'
import { verify } from '../reencrypt/verify.ts'
import type { Verification } from '../reencrypt/verify.ts'
import { loadConfig } from '../shell/config.ts'
import { refused, usage } from '../shell/errors.ts'
import { readInput, warnWhenShared } from '../shell/files.ts'
import { openKmsClient } from '../shell/key-service.ts'
import { resolveIdentities } from '../shell/keys.ts'
import { checkOutput, writeOutput } from '../shell/output-file.ts'
import { Progress } from '../shell/progress.ts'
import { everySuite } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, table } from '../shell/text.ts'
import type { RowReader, StoredDataKey } from '../sources/row-source.ts'
import type { RunState } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import { chooseFormats } from './reencrypt-config.ts'
import type { CheckReportFlags, ReportFlags } from './reencrypt-flags.ts'
import { columnsOf, makeFormats } from './reencrypt-formats.ts'
import { Pace } from './reencrypt-progress.ts'
import { resolveTarget } from './reencrypt-settings.ts'
import { openReader } from './reencrypt-target.ts'

const keyLimit = { maxBytes: 64 * 1024, reason: 'that is too long to be a key' }
const reportLimit = { maxBytes: 256 * 1024 * 1024, reason: 'that is too long to be a report' }

export async function writeReport(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: ReportFlags,
): Promise<void> {
  const target = await resolveTarget(terminal, targetPath, flags)
  const since = sinceOf(flags.since)
  const key = flags.sign === undefined ? undefined : await readSigningKey(terminal, flags.sign)
  const formats = chooseFormats(flags.format ?? target.config.format, target.config.formats, target.column)
  const columns = columnsOf(formats, target.column)
  await withProblems(async () => {
    const reader = await openReader(target, columns)
    const progress = new Progress(terminal)
    try {
      const runs = await reader.runs()
      if (runs.length === 0) {
        throw refused(`no run has begun on ${reader.target.name}`, {
          hint: 'longhold reencrypt plan is the first step',
        })
      }
      const pace = new Pace(await reader.size())
      const onProgress = (what: string) => (done: number) => progress.update(pace.line(what, done))
      const found = await survey({
        reader,
        formats: await makeFormats(formats, [...columns.own, ...columns.read]),
        keys: new PrivateKeySet([]),
        acceptUnauthenticated: true,
        tryToOpen: false,
        samples: 0,
        maxLegacy: Infinity,
        onProgress: onProgress('read'),
        checkStop: () => terminal.checkStop(),
      })
      const verification = await verified(terminal, reader, flags, onProgress('verified'))
      progress.done()
      const report = reportOf({
        target: reader.target,
        runs,
        dataKeys: await dataKeysOf(reader, runs),
        survey: found,
        verification,
        since,
        madeAt: new Date().toISOString(),
      })
      const text = `${JSON.stringify(report, undefined, 2)}\n`
      const output = flags.output ?? `${target.table ?? target.shown}.report.json`
      const fingerprint = key && fingerprintOf(key)
      await writeOutput(terminal, output, Buffer.from(text))
      if (key !== undefined) {
        await writeOutput(terminal, `${output}.jws`, Buffer.from(`${signReport(Buffer.from(text), key)}\n`))
      }
      if (flags.html !== undefined) {
        await writeOutput(terminal, flags.html, Buffer.from(reportPage(report, fingerprint)))
      }
      await terminal.answer({
        text: table([
          ['report', output],
          ...(key === undefined ? [] : [['signature', `${output}.jws`]]),
          ...(fingerprint === undefined ? [] : [['signing key', fingerprint]]),
          ...(flags.html === undefined ? [] : [['page', flags.html]]),
          ['records', count(report.now.records)],
          ['left in an old form', count(report.now.remaining)],
        ]),
        json: { ...report, file: output, signed_by: fingerprint ?? null },
      })
    } finally {
      progress.done()
      await reader.close()
    }
  })
}

/** `longhold reencrypt report-key`: a signing key, and beside it what checks its signatures. */
export async function makeReportKey(terminal: Terminal, output: string): Promise<void> {
  const publicFile = `${output}.pub`
  await checkOutput(terminal, output, false)
  await checkOutput(terminal, publicFile, false)
  const { privateKey, publicKey } = generateSigningKey()
  await writeOutput(terminal, output, privateKey, { mode: 0o600 })
  await writeOutput(terminal, publicFile, publicKey)
  const key = parseVerifyingKey(publicKey)
  const fingerprint = key === undefined ? '' : fingerprintOf(key)
  await terminal.answer({
    text: table([
      ['private key', output],
      ['public key', publicFile],
      ['fingerprint', fingerprint],
    ]),
    json: { private_key: output, public_key: publicFile, fingerprint },
  })
}

export async function checkReport(terminal: Terminal, path: string, flags: CheckReportFlags): Promise<void> {
  const key = parseVerifyingKey(await textOf(terminal, flags.publicKey))
  if (key === undefined) {
    throw usage(`${flags.publicKey} is no public key of ML-DSA-65`, {
      hint: 'longhold reencrypt report-key wrote it beside the private key, as KEY.pub',
    })
  }
  const content = await readInput(terminal, path, reportLimit)
  const jws = new TextDecoder().decode(await readInput(terminal, flags.signature ?? `${path}.jws`, keyLimit))
  if (!isSignatureOf(jws, content, key)) {
    throw refused(`${path} is not what this key signed`, {
      hint: 'it was changed, or signed with another key: compare fingerprints',
    })
  }
  await terminal.answer({
    text: `${path}: signed by ${fingerprintOf(key)}`,
    json: { file: path, signed_by: fingerprintOf(key) },
  })
}

async function verified(
  terminal: Terminal,
  reader: RowReader,
  flags: ReportFlags,
  onProgress: (values: number) => void,
): Promise<Verification | undefined> {
  const { identity } = await loadConfig(terminal)
  const hasFile = (flags.identity ?? identity).length > 0
  if (!hasFile && (await openKmsClient(terminal, flags)) === undefined) return undefined
  const identities = (await resolveIdentities(terminal, flags)).map((named) => named.identity)
  const checkStop = (): void => terminal.checkStop()
  return await verify({ reader, identities, suites: await everySuite(), onProgress, checkStop })
}

async function dataKeysOf(reader: RowReader, runs: readonly RunState[]): Promise<StoredDataKey[]> {
  const keys: StoredDataKey[] = []
  for (const keyId of new Set(runs.flatMap(({ dataKeys }) => dataKeys))) {
    const key = await reader.dataKey(keyId)
    if (key !== undefined) keys.push(key)
  }
  return keys
}

function sinceOf(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const date = new Date(text)
  if (/^\d{4}/u.test(text) && !Number.isNaN(date.getTime())) return date.toISOString()
  throw usage(`--since ${text} is no date`, { hint: 'say 2015-04-01' })
}

async function readSigningKey(terminal: Terminal, path: string): Promise<KeyObject> {
  const key = parseSigningKey(await textOf(terminal, path))
  await warnWhenShared(terminal, path)
  if (key !== undefined) return key
  throw usage(`${path} is no private key of ML-DSA-65`, {
    hint: 'longhold reencrypt report-key --output KEY makes one',
  })
}

async function textOf(terminal: Terminal, path: string): Promise<string> {
  return new TextDecoder().decode(await readInput(terminal, path, keyLimit))
}
