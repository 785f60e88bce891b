/** `longhold reencrypt plan` and `verify` on a tree or bucket: they read everything and change nothing. */

import { randomBytes } from 'node:crypto'
import { availableParallelism } from 'node:os'

import { ObjectPool } from '../reencrypt/object-pool.ts'
import { surveyObjects } from '../reencrypt/object-survey.ts'
import type { Failure, ObjectGroup, ObjectSurvey } from '../reencrypt/object-survey.ts'
import { verifyObjects } from '../reencrypt/object-verify.ts'
import { refused } from '../shell/errors.ts'
import { resolveIdentities } from '../shell/keys.ts'
import { Progress } from '../shell/progress.ts'
import { everySuite } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import { objectOpener } from '../sources/object-open.ts'
import type { ObjectReader } from '../sources/object-source.ts'
import { withProblems } from './problems.ts'
import type { PlanFlags, VerifyFlags } from './reencrypt-flags.ts'
import { chooseObjectFormats, makeObjectFormats } from './reencrypt-object-formats.ts'
import {
  contextIn,
  contextTemplate,
  defaultTemplate,
  objectWorkerUrl,
  openObjectReader,
  templateOf,
} from './reencrypt-objects.ts'
import type { ObjectTargetSettings } from './reencrypt-objects.ts'
import { readPrivateKeys } from './reencrypt-private-keys.ts'
import { Pace } from './reencrypt-progress.ts'
import { duration, honestJson, honestText } from './reencrypt-report.ts'

const samplesPerGroup = 100
const mebibyte = 1024 * 1024
/** Besides opening: encrypt, write, read again. */
const restMsPerByte = 1 / (200 * 1024)
/** Four times something is brought to the disk. */
const restMsPerObject = 8

export async function planObjects(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: PlanFlags,
): Promise<void> {
  const { config } = target
  const privateKeys = await readPrivateKeys(terminal, config, flags)
  const workers = flags.workers ?? config.workers ?? availableParallelism()
  await withProblems(async () => {
    const reader = openObjectReader(target)
    try {
      const found = await surveyTarget(terminal, reader, {
        names: flags.format,
        target,
        privateKeys,
        workers,
        samples: flags.openAll === true ? Infinity : samplesPerGroup,
      })
      await answer(terminal, reader, found, workers)
      judge(found, config['accept-unauthenticated'])
    } finally {
      await reader.close()
    }
  })
}

export interface SurveyTargetSettings {
  readonly names: readonly string[] | undefined
  readonly target: ObjectTargetSettings
  readonly privateKeys: Awaited<ReturnType<typeof readPrivateKeys>>
  readonly workers: number
  readonly samples: number
}

/** Looks at everything, with threads of its own. */
export async function surveyTarget(
  terminal: Terminal,
  reader: ObjectReader,
  { names, target, privateKeys, workers, samples }: SurveyTargetSettings,
): Promise<ObjectSurvey> {
  const pool = new ObjectPool(
    objectWorkerUrl(),
    {
      formats: chooseObjectFormats(names, target.config),
      privateKeys,
      acceptUnauthenticated: true,
      isConsumerReady: true,
      digestKey: Uint8Array.from(randomBytes(32)),
      connection: target.bucket?.connection,
      withExtended: false,
    },
    workers,
  )
  const progress = new Progress(terminal)
  try {
    const pace = new Pace({ unit: 'MiB', total: mebibytes(await reader.size()) })
    return await surveyObjects({
      reader,
      workers: pool,
      tryToOpen: privateKeys.length > 0,
      samples,
      onProgress: (bytes) => progress.update(pace.line('read', Math.floor(bytes / mebibyte))),
      checkStop: () => terminal.checkStop(),
    })
  } finally {
    progress.done()
    await pool.close()
  }
}

async function answer(
  terminal: Terminal,
  reader: ObjectReader,
  found: ObjectSurvey,
  workers: number,
): Promise<void> {
  const { name, kind, notices } = reader.target
  const legacy = sum(found.groups.map((group) => group.count))
  const seconds = estimate(found, workers)
  const named = { kind, file: name }
  const among = found.examples.length === 0 ? '' : `, say ${found.examples.join(', ')}`
  await terminal.answer({
    text: [
      table([
        ['target', name],
        ['to re-encrypt', `${count(legacy)}, ${count(sum(found.groups.map((group) => group.bytes)))} bytes`],
        ['already longhold', count(found.already)],
        ['left alone', `${count(found.others)}: of no named format, links, devices${among}`],
        ...failureRows(found.problems, '  '),
        [
          'estimate',
          seconds === undefined
            ? 'needs --private-key'
            : `${duration(seconds)} on ${plural(workers, 'thread')}`,
        ],
      ]),
      ...found.groups.flatMap((group) => ['', groupText(group)]),
      '',
      ...notices.map((notice) => `note: ${notice}`),
      honestText(named),
    ].join('\n'),
    json: {
      target: name,
      to_reencrypt: legacy,
      already: found.already,
      left_alone: found.others,
      bytes: found.bytes,
      problems: failuresJson(found.problems),
      groups: found.groups.map(({ keyId, isAuthenticated, failures, ...group }) => ({
        ...group,
        key_id: keyId ?? null,
        authenticated: isAuthenticated,
        failures: failuresJson(failures),
      })),
      estimate_seconds: seconds ?? null,
      workers,
      notices,
      ...honestJson(named),
    },
  })
}

function groupText({ format, keyId, wrapping, body, isAuthenticated, ...group }: ObjectGroup): string {
  return table([
    ['format', format],
    ['  key id', keyId ?? 'none'],
    ['  data key', wrapping],
    ['  body', body + (isAuthenticated ? '' : ': not authenticated, needs --accept-unauthenticated')],
    ['  objects', `${count(group.count)}, ${count(group.bytes)} bytes`],
    ['  opened', `${count(group.opened)} of ${count(group.tried)} tried`],
    ...failureRows(group.failures, '  '),
  ])
}

function failureRows(failures: ReadonlyMap<string, Failure>, indent: string): string[][] {
  return [...failures].map(([code, { count: times, reason, example }]) => [
    indent + code,
    `${count(times)}: ${reason === code ? '' : `${reason}, `}say ${example}`,
  ])
}

function failuresJson(failures: ReadonlyMap<string, Failure>) {
  return [...failures].map(([code, failure]) => ({ code, ...failure }))
}

function estimate({ groups, openMsPerByte }: ObjectSurvey, workers: number): number | undefined {
  if (openMsPerByte === undefined) return undefined
  const bytes = sum(groups.map((group) => group.bytes))
  const objects = sum(groups.map((group) => group.count))
  return (bytes * (openMsPerByte + restMsPerByte) + objects * restMsPerObject) / workers / 1000
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}

function mebibytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : Math.ceil(bytes / mebibyte)
}

/** Exit 1 when a run would leave something as it is. */
function judge({ groups, problems }: ObjectSurvey, acceptsUnauthenticated: boolean): void {
  const tried = sum(groups.map((group) => group.tried))
  const failed = tried - sum(groups.map((group) => group.opened))
  const unusable = sum([...problems.values()].map((problem) => problem.count))
  const untold = groups.filter((group) => !group.isAuthenticated && !acceptsUnauthenticated)
  const reasons = [
    ...(failed > 0 ? [`${count(failed)} of ${plural(tried, 'object')} tried did not open`] : []),
    ...(untold.length > 0
      ? [`${plural(sum(untold.map((group) => group.count)), 'object')} whose body is not authenticated`]
      : []),
    ...(unusable > 0 ? [`${plural(unusable, 'object')} that cannot be worked on`] : []),
  ]
  if (reasons.length === 0) return
  throw refused(`a run would not re-encrypt everything: ${reasons.join(', ')}`, {
    hint: 'give the other private keys, or see to the objects that the plan names',
  })
}

export async function verifyObjectTarget(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: VerifyFlags,
): Promise<void> {
  const identities = (await resolveIdentities(terminal, flags)).map((named) => named.identity)
  await withProblems(async () => {
    const reader = openObjectReader(target)
    const progress = new Progress(terminal)
    try {
      const latest = reader.latestRun()
      const template =
        contextTemplate(reader, target, flags.context) ??
        (latest === undefined ? defaultTemplate(reader) : templateOf(latest))
      const pace = new Pace({ unit: 'MiB', total: mebibytes(await reader.size()) })
      const found = await verifyObjects({
        reader,
        open: objectOpener(target.bucket?.connection),
        formats: await makeObjectFormats(chooseObjectFormats(undefined, target.config), true),
        identities,
        suites: await everySuite(),
        contextOf: contextIn(reader, template),
        onProgress: (bytes) => progress.update(pace.line('verified', Math.floor(bytes / mebibyte))),
        checkStop: () => terminal.checkStop(),
      })
      progress.done()
      const failed = sum([...found.failures.values()].map((failure) => failure.count))
      const { name } = reader.target
      await terminal.answer({
        text: table([
          ['target', name],
          ['opened', count(found.opened)],
          ['not re-encrypted', count(found.remaining)],
          ['left alone', count(found.others)],
          ['do not open', count(failed)],
          ...failureRows(found.failures, '  '),
        ]),
        json: {
          target: name,
          opened: found.opened,
          not_reencrypted: found.remaining,
          left_alone: found.others,
          failed,
          failures: failuresJson(found.failures),
        },
      })
      if (failed > 0) {
        throw refused(`${plural(failed, 'object')} of ${name} did not open`, {
          hint: 'cannot_open: it was moved or renamed, bound to another context, or bytes were altered',
        })
      }
      if (found.remaining > 0) {
        throw refused(`${plural(found.remaining, 'object')} of ${name} not re-encrypted yet`, {
          hint: 'longhold reencrypt run goes on; its dead letters say what does not open',
        })
      }
    } finally {
      progress.done()
      await reader.close()
    }
  })
}
