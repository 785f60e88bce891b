/** `longhold reencrypt plan`. */

import { availableParallelism } from 'node:os'

import { PrivateKeySet } from '../legacy-keys/private-key-set.ts'
import { survey } from '../reencrypt/survey.ts'
import type { Survey, SurveyGroup } from '../reencrypt/survey.ts'
import { refused } from '../shell/errors.ts'
import { Progress } from '../shell/progress.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import type { TargetDescription } from '../sources/row-source.ts'
import { withProblems } from './problems.ts'
import type { PlanFlags } from './reencrypt-flags.ts'
import { foreignReaders, makeFormats, nameOf, needKeys } from './reencrypt-formats.ts'
import { resolveObjects } from './reencrypt-objects.ts'
import { Pace } from './reencrypt-progress.ts'
import { duration, honestJson, honestText } from './reencrypt-report.ts'
import { resolveLegacy, resolveTarget } from './reencrypt-settings.ts'
import { openReader } from './reencrypt-target.ts'

const samplesPerGroup = 100
/** Besides RSA: parse, encrypt, open again, write. */
const restMs = 0.08

export async function planReencryption(
  terminal: Terminal,
  targetPath: string | undefined,
  flags: PlanFlags,
): Promise<void> {
  const objects = await resolveObjects(terminal, targetPath, flags)
  if (objects !== undefined) {
    const { planObjects } = await import('./reencrypt-objects-plan.ts')
    return await planObjects(terminal, objects, flags)
  }
  const target = await resolveTarget(terminal, targetPath, flags)
  const legacy = await resolveLegacy(terminal, target, flags)
  const tryToOpen = legacy.privateKeys.length > 0 || !needKeys(legacy.formats)
  await withProblems(async () => {
    const reader = await openReader(target, legacy.columns, 'old')
    const progress = new Progress(terminal)
    try {
      const pace = new Pace(await reader.size())
      const found = await survey({
        reader,
        formats: await makeFormats(legacy.formats, [...legacy.columns.own, ...legacy.columns.read]),
        keys: new PrivateKeySet(legacy.privateKeys),
        acceptUnauthenticated: true,
        tryToOpen,
        samples: flags.openAll === true ? Infinity : samplesPerGroup,
        maxLegacy: Infinity,
        onProgress: (done) => progress.update(pace.line('read', done)),
        checkStop: () => terminal.checkStop(),
      })
      progress.done()
      const workers = flags.workers ?? target.config.workers ?? availableParallelism()
      const met = new Set(found.groups.map(({ format }) => format))
      const readers = foreignReaders(legacy.formats.filter((choice) => met.has(nameOf(choice))))
      await answer(terminal, withReaders(reader.target, readers), found, workers)
      judge(found, target.config['accept-unauthenticated'])
    } finally {
      progress.done()
      await reader.close()
    }
  })
}

/** What is read by others too is told, and left alone by a run. */
function withReaders(target: TargetDescription, readers: readonly string[]): TargetDescription {
  const notices = readers.map(
    (reader) =>
      `values of that form are read by ${reader} too: run leaves them until --consumer-ready is given`,
  )
  return { ...target, notices: [...target.notices, ...notices] }
}

async function answer(
  terminal: Terminal,
  target: TargetDescription,
  found: Survey,
  workers: number,
): Promise<void> {
  const seconds = estimate(found, workers)
  await terminal.answer({
    text: [
      table([
        ['target', target.name],
        ['values', count(found.values)],
        ['  to re-encrypt', count(legacyCount(found))],
        ['  already longhold', count(found.already)],
        ['  of no named format', count(found.unrecognized.count) + examplesOf(found.unrecognized.examples)],
        ...[...found.problems].map(([code, problem]) => [
          `  ${code}`,
          count(problem.count) + examplesOf([problem.example]),
        ]),
        ['without a value', count(found.empty)],
        [
          'estimate',
          seconds === undefined
            ? 'needs --private-key'
            : `${duration(seconds)} on ${plural(workers, 'thread')}`,
        ],
      ]),
      ...found.groups.flatMap((group) => ['', ...groupText(group)]),
      '',
      ...target.notices.map((notice) => `note: ${notice}`),
      honestText(target),
    ].join('\n'),
    json: {
      target: target.name,
      table: target.table,
      column: target.column,
      values: found.values,
      to_reencrypt: legacyCount(found),
      already: found.already,
      empty: found.empty,
      unrecognized: found.unrecognized,
      problems: [...found.problems].map(([code, problem]) => ({ code, ...problem })),
      groups: found.groups.map(groupJson),
      estimate_seconds: seconds ?? null,
      workers,
      notices: target.notices,
      ...honestJson(target),
    },
  })
}

function groupText(group: SurveyGroup): string[] {
  const rows = [
    ['format', group.format],
    ['  key id', group.keyId ?? 'none'],
    ['  data key', group.wrapping],
    ['  body', group.body + (group.isAuthenticated ? '' : ': not authenticated, needs a witness')],
    ['  values', count(group.count)],
    ['  opened', `${count(group.opened)} of ${count(group.tried)} tried`],
    ...[...group.failures].map(([code, { count: times, reason, example }]) => [
      `  ${code}`,
      `${count(times)}: ${reason}, say in ${example}`,
    ]),
  ]
  return [table(rows)]
}

function groupJson(group: SurveyGroup) {
  return {
    format: group.format,
    key_id: group.keyId ?? null,
    wrapping: group.wrapping,
    body: group.body,
    authenticated: group.isAuthenticated,
    values: group.count,
    tried: group.tried,
    opened: group.opened,
    failures: [...group.failures].map(([code, failure]) => ({ code, ...failure })),
  }
}

function legacyCount({ groups }: Survey): number {
  return groups.reduce((sum, group) => sum + group.count, 0)
}

function examplesOf(examples: readonly string[]): string {
  return examples.length === 0 ? '' : `, say ${examples.join(', ')}`
}

function estimate(found: Survey, workers: number): number | undefined {
  return found.openMs === undefined
    ? undefined
    : (legacyCount(found) * (found.openMs + restMs)) / Math.max(1, workers) / 1000
}

/** Exit 1 when a run would leave something as it is. */
function judge(found: Survey, acceptsUnauthenticated: boolean): void {
  const sum = (numbers: readonly number[]) => numbers.reduce((total, one) => total + one, 0)
  const tried = sum(found.groups.map((group) => group.tried))
  const failed = tried - sum(found.groups.map((group) => group.opened))
  const unusable = sum([...found.problems.values()].map((problem) => problem.count))
  const untold = acceptsUnauthenticated
    ? 0
    : sum(found.groups.filter((group) => !group.isAuthenticated).map((group) => group.count))
  const strange = found.unrecognized.count
  const reasons = [
    ...(failed > 0 ? [`${count(failed)} of ${plural(tried, 'value')} tried did not open`] : []),
    ...(untold > 0 ? [`${plural(untold, 'value')} whose body is not authenticated`] : []),
    ...(strange > 0 ? [`${plural(strange, 'value')} of no named format`] : []),
    ...(unusable > 0 ? [`${plural(unusable, 'row')} that cannot be worked on`] : []),
  ]
  if (reasons.length === 0) return
  throw refused(`a run would not re-encrypt everything: ${reasons.join(', ')}`, {
    hint: 'declare their layout in longhold.yaml, give the other private keys, or mend the rows',
  })
}
