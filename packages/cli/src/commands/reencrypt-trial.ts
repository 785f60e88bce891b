/** The trial before a run. */

import { PrivateKeySet } from '../legacy-keys/private-key-set.ts'
import { survey } from '../reencrypt/survey.ts'
import { usage } from '../shell/errors.ts'
import type { Terminal } from '../shell/terminal.ts'
import { plural } from '../shell/text.ts'
import type { RowSource } from '../sources/row-source.ts'
import type { RunState } from '../sources/run-state.ts'
import { makeFormats, nameOf } from './reencrypt-formats.ts'
import { columnsAsAsked } from './reencrypt-settings.ts'
import type { LegacySettings } from './reencrypt-settings.ts'

const trialValues = 64
/** Locators kept in memory. */
const maxKnownDead = 100_000

export interface TrialSettings {
  readonly source: RowSource
  readonly legacy: LegacySettings
  readonly state: RunState
  readonly acceptUnauthenticated: boolean
}

/**
 * A wrong key or layout is found out on the first values that are still to be done, not by a dead letter for each
 * row. What the latest run has listed as dead proves nothing: a run over a finished target meets only that.
 */
export async function tryFirstValues(
  terminal: Terminal,
  { source, legacy, state, acceptUnauthenticated }: TrialSettings,
): Promise<void> {
  const { formats, privateKeys } = legacy
  const found = await survey({
    reader: source,
    formats: await makeFormats(formats, columnsAsAsked(legacy)),
    keys: new PrivateKeySet(privateKeys),
    acceptUnauthenticated: true,
    tryToOpen: true,
    samples: trialValues,
    maxLegacy: trialValues,
    after: state.position,
    skipped: await knownDead(source),
    onProgress: () => {},
    checkStop: () => terminal.checkStop(),
  })
  const untold = found.groups.find(({ isAuthenticated }) => !isAuthenticated)
  if (untold !== undefined && !acceptUnauthenticated) {
    throw usage(
      `format ${untold.format}: nothing would tell a wrong key or an altered body (${untold.body})`,
      {
        hint: 'declare a witness in longhold.yaml, or give --accept-unauthenticated to take them as they are',
      },
    )
  }
  const { name } = source.target
  const problems = [...found.problems.values()].reduce((sum, problem) => sum + problem.count, 0)
  const tried = found.groups.reduce((sum, group) => sum + group.tried, 0)
  const failed = tried + found.unrecognized.count + problems
  const isNew = state.position === undefined
  if (isNew && source.isStill && found.values === 0 && found.empty > 0) {
    throw usage(`no record of ${name} has a value there`, { hint: 'check --column; --skip-trial goes on' })
  }
  if (failed === 0 || found.groups.some(({ opened }) => opened > 0)) return
  // What opened before says that keys and layouts were right, and the last few values may well be broken.
  if (state.migrated > 0 && failed < trialValues) return
  const reasons = found.groups.flatMap(({ failures }) => [...failures.values()].map(({ reason }) => reason))
  const names = formats.map(nameOf).join(', ')
  const why =
    reasons[0] ??
    (found.unrecognized.count > 0
      ? `none of them is of a format that was named (${names})`
      : `their rows cannot be worked on (${[...found.problems.keys()].join(', ')})`)
  throw usage(`none of the first ${plural(failed, 'value')} to be done in ${name} opens: ${why}`, {
    hint: `check --private-key, --format${source.isStill ? ', --id' : ''} and --column; reencrypt plan shows what is there; --skip-trial goes on`,
  })
}

async function knownDead(source: RowSource): Promise<Set<string>> {
  const known = new Set<string>()
  const latest = await source.latestRun()
  if (latest === undefined) return known
  for await (const { locator } of source.deadLetters(latest.runId)) {
    known.add(locator)
    if (known.size >= maxKnownDead) break
  }
  return known
}
