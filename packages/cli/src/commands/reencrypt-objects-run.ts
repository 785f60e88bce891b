/** `longhold reencrypt run` on a tree or bucket. */

import { randomBytes, randomUUID } from 'node:crypto'
import { availableParallelism } from 'node:os'

import type { Identity, Recipient } from '@longhold/core'

import { ObjectPool } from '../reencrypt/object-pool.ts'
import { reencryptObjects } from '../reencrypt/objects.ts'
import { refused, stopped, usage } from '../shell/errors.ts'
import { resolveRecipients } from '../shell/keys.ts'
import { Progress } from '../shell/progress.ts'
import { suitesOf } from '../shell/suites.ts'
import type { Terminal } from '../shell/terminal.ts'
import { plural, table } from '../shell/text.ts'
import type { ObjectSource } from '../sources/object-source.ts'
import { newRunState, isUnfinished } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import { withProblems } from './problems.ts'
import { replaceLetterFile } from './reencrypt-dead-letters.ts'
import type { RunFlags } from './reencrypt-flags.ts'
import { needKeys } from './reencrypt-formats.ts'
import { chooseObjectFormats } from './reencrypt-object-formats.ts'
import type { ObjectWorkerSettings } from './reencrypt-object-formats.ts'
import {
  contextIn,
  contextTemplate,
  defaultTemplate,
  objectRunJson,
  objectRunRows,
  objectWorkerUrl,
  openObjectSource,
  templateOf,
} from './reencrypt-objects.ts'
import type { ObjectTargetSettings } from './reencrypt-objects.ts'
import { readPrivateKeys } from './reencrypt-private-keys.ts'
import { Pace } from './reencrypt-progress.ts'
import { duration, honestJson, honestText } from './reencrypt-report.ts'
import { makeThrottle } from './reencrypt-throttle.ts'

const mebibyte = 1024 * 1024

/** @param identities Those of the command, which may be none. */
export async function runObjects(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: RunFlags,
  identities: () => Promise<readonly Identity[]>,
): Promise<void> {
  const { config } = target
  for (const name of ['dataset', 'keyringKey'] as const) {
    if (flags[name] === undefined) continue
    throw usage(`--${name === 'dataset' ? name : 'keyring-key'} is for records: objects become envelopes`, {
      hint: 'leave it out',
    })
  }
  const privateKeys = await readPrivateKeys(terminal, config, flags)
  const formats = chooseObjectFormats(flags.format, config)
  if (privateKeys.length === 0 && needKeys(formats)) {
    throw usage('no private key to open the old objects with', { hint: 'give --private-key FILE' })
  }
  const digestKey = Uint8Array.from(randomBytes(32))
  const worker: ObjectWorkerSettings = {
    formats,
    privateKeys,
    acceptUnauthenticated: flags.acceptUnauthenticated ?? config['accept-unauthenticated'],
    isConsumerReady: flags.consumerReady ?? config['consumer-ready'],
    digestKey,
    connection: target.bucket?.connection,
    withExtended: flags.xattrs !== false && config.xattrs,
  }
  const recipients = await resolveRecipients(terminal, flags)
  const who = { recipients, identities: await identities() }
  await withProblems(async () => {
    const source = openObjectSource(target)
    try {
      await source.checkReady(worker.withExtended)
      await execute(terminal, target, flags, source, worker, who)
    } finally {
      await source.close()
    }
  })
}

async function execute(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: RunFlags,
  source: ObjectSource,
  worker: ObjectWorkerSettings,
  {
    recipients,
    identities,
  }: { readonly recipients: readonly Recipient[]; readonly identities: readonly Identity[] },
): Promise<void> {
  const { config } = target
  const state = startState(terminal, target, flags, source)
  const throttle = makeThrottle(terminal, { target: source.target, isStill: false }, flags, config)
  const workers = flags.workers ?? config.workers ?? availableParallelism()
  const total = await source.size()
  const pool = new ObjectPool(objectWorkerUrl(), worker, workers)
  const progress = new Progress(terminal)
  const pace = new Pace({ unit: 'MiB', total: total === undefined ? undefined : Math.ceil(total / mebibyte) })
  const startMs = performance.now()
  let end: RunState
  try {
    end = await reencryptObjects({
      source,
      workers: pool,
      state,
      recipients,
      identities,
      suites: await suitesOf(recipients),
      contextOf: contextIn(source, templateOf(state)),
      checkEvery: flags.checkEvery ?? config['check-every'] ?? 1000,
      maxPasses: flags.maxPasses ?? config['max-passes'] ?? 10,
      digestKey: worker.digestKey,
      signal: terminal.signal,
      throttle,
      onProgress: (now, bytes) =>
        progress.update(pace.line(`pass ${now.pass}`, Math.floor(bytes / mebibyte))),
    })
  } finally {
    progress.done()
    await pool.close()
  }
  await report(terminal, target, flags, source, {
    state: end,
    replaced: end.migrated - state.migrated,
    seconds: (performance.now() - startMs) / 1000,
  })
}

/** The unfinished run on this target, or a new one. */
function startState(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: RunFlags,
  source: ObjectSource,
): RunState {
  const template = contextTemplate(source, target, flags.context)
  const latest = source.latestRun()
  if (latest?.status === 'rolling_back') {
    throw usage(`${source.target.name} is being rolled back`, {
      hint: 'longhold reencrypt rollback goes on with that; then run',
    })
  }
  if (latest === undefined || !isUnfinished(latest)) {
    return newRunState({
      runId: randomUUID(),
      ...source.runsAs,
      dataset: JSON.stringify(template ?? defaultTemplate(source)),
      startedAt: new Date().toISOString(),
      keepsOriginals: flags.originals !== false && target.config.originals,
    })
  }
  if (template !== undefined && JSON.stringify(template) !== latest.dataset) {
    throw usage(`an unfinished run on ${source.target.name} binds another context: ${latest.dataset}`, {
      hint: 'finish it first, without --context',
    })
  }
  terminal.note(
    `going on with run ${latest.runId}: pass ${latest.pass}, ${plural(latest.migrated, 'object')} re-encrypted so far`,
  )
  return latest
}

interface Ended {
  readonly state: RunState
  readonly replaced: number
  readonly seconds: number
}

async function report(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: RunFlags,
  source: ObjectSource,
  { state, replaced, seconds }: Ended,
): Promise<void> {
  const deadLetters = await writeLetters(terminal, target, flags, source, state)
  const named = { kind: source.target.kind, file: source.target.name }
  await terminal.answer({
    text: [
      table([
        ['target', source.target.name],
        ['run', state.status === 'finished' ? 'finished' : `${state.status} in pass ${state.pass}`],
        ...objectRunRows(state),
        ['this time', `${plural(replaced, 'object')} in ${duration(seconds)}`],
        ...(deadLetters === undefined ? [] : [['dead letters in', deadLetters]]),
      ]),
      '',
      honestText(named),
    ].join('\n'),
    json: {
      target: source.target.name,
      ...objectRunJson(state),
      replaced_this_time: replaced,
      seconds: Math.round(seconds * 1000) / 1000,
      dead_letters: deadLetters ?? null,
      ...honestJson(named),
    },
  })
  judge(terminal, state, deadLetters)
}

async function writeLetters(
  terminal: Terminal,
  target: ObjectTargetSettings,
  flags: RunFlags,
  source: ObjectSource,
  state: RunState,
): Promise<string | undefined> {
  const asked = flags.deadLetters ?? target.deadLetters
  const name = target.shown.replace(/\/+$/u, '')
  const shown = asked ?? `${target.bucket?.bucket ?? (name === '.' ? 'tree' : name)}.dead.ndjson`
  const lines = function* () {
    for (const { locator, format, keyId, code } of source.deadLetters(state.runId)) {
      yield `${JSON.stringify({ object: locator, format: format ?? null, key_id: keyId ?? null, code })}\n`
    }
  }
  return await replaceLetterFile({ absolute: terminal.path(shown), shown, dead: state.counts.dead }, lines())
}

function judge(
  terminal: Terminal,
  { status, counts, pass }: RunState,
  deadLetters: string | undefined,
): void {
  if (status !== 'finished' && terminal.signal.aborted) {
    throw stopped('interrupted at a safe point: everything counted above is in its place', {
      hint: 'run the same command again to go on',
    })
  }
  if (status !== 'finished') {
    const some = plural(counts.migrated + counts.conflict, 'one')
    throw refused(`old objects kept appearing: pass ${pass} still found ${some}`, {
      hint: 'let the writers write envelopes first, then run this again',
    })
  }
  if (counts.dead > 0) {
    throw refused(`${plural(counts.dead, 'object')} could not be re-encrypted and stayed as they were`, {
      hint: `${deadLetters ?? 'the file of dead letters'} says which and why; once mended, run this again`,
    })
  }
}
