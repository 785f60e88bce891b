/**
 * Whether a version can be destroyed without losing data, as far as that can be known. `safe` needs everything known
 * and in favour; one thing against it is `unsafe`; what is not known makes it `unknown`. All reasons are given, so that
 * the next step is plain.
 */

const dayMs = 24 * 60 * 60 * 1000

/** A census that is older says nothing about what is wrapped today. */
export const maxCensusAgeMs = 7 * dayMs

export type Verdict = 'safe' | 'unsafe' | 'unknown'

export type ReasonCode =
  | 'still_in_use'
  | 'still_wraps'
  | 'already_destroyed'
  | 'census_finds_wrapped_keys'
  | 'used_in_30_days'
  | 'used_in_90_days'
  | 'watched_too_short'
  | 'no_consumers'
  | 'no_census'
  | 'census_too_old'
  | 'census_before_last_use'
  | 'no_backup'
  | 'not_in_backup'
  | 'exported'

/** For people as well as programs. */
export interface Reason {
  readonly code: ReasonCode
  readonly speaksFor: Verdict
  readonly detail: string
}

/** What one store of wrapped keys last said about itself. */
export interface CensusFact {
  readonly consumer: string
  /** Null: it was registered and has not counted yet. */
  readonly takenAt: number | null
  /** Wrapped keys under the version in question. */
  readonly wrappedKeys: number
}

export interface DestroyFacts {
  readonly state: 'wraps' | 'unwraps' | 'at_rest' | 'destroyed'
  readonly now: number
  /** Since when uses of this version are counted. */
  readonly countedSince: number
  readonly usesIn30Days: number
  readonly usesIn90Days: number
  readonly lastUsedAt: number | null
  readonly census: readonly CensusFact[]
  /** When the seed was exported; it lives on elsewhere. */
  readonly exportedAt: number | null
  /** The newest backup there is, and whether it holds this version's seed; undefined: there is none. */
  readonly backup: { readonly at: number; readonly holdsVersion: boolean } | undefined
}

export interface DestroyVerdict {
  readonly verdict: Verdict
  readonly reasons: readonly Reason[]
}

export function judge(facts: DestroyFacts): DestroyVerdict {
  const reasons = [...fromStates[facts.state], ...fromUses(facts), ...fromCensus(facts), ...fromCopies(facts)]
  const speaksFor = (verdict: Verdict) => reasons.some((reason) => reason.speaksFor === verdict)
  return { verdict: speaksFor('unsafe') ? 'unsafe' : speaksFor('unknown') ? 'unknown' : 'safe', reasons }
}

const fromStates: Readonly<Record<DestroyFacts['state'], readonly Reason[]>> = {
  wraps: [unsafe('still_wraps', 'writers wrap for it: rotate the key first')],
  unwraps: [unsafe('still_in_use', 'it unwraps: disable it first and see who complains')],
  at_rest: [],
  destroyed: [{ code: 'already_destroyed', speaksFor: 'safe', detail: 'it is destroyed already' }],
}

function fromUses({ now, countedSince, usesIn30Days, usesIn90Days }: DestroyFacts): Reason[] {
  if (usesIn30Days > 0) return [unsafe('used_in_30_days', `used ${usesIn30Days} times in 30 days`)]
  const reasons: Reason[] = []
  if (usesIn90Days > 0) reasons.push(unknown('used_in_90_days', `used ${usesIn90Days} times in 90 days`))
  if (now - countedSince < 30 * dayMs) {
    reasons.push(
      unknown('watched_too_short', `uses are counted since ${day(countedSince)}, less than 30 days`),
    )
  }
  return reasons
}

function fromCensus({ census, now, lastUsedAt }: DestroyFacts): Reason[] {
  if (census.length === 0) {
    return [unknown('no_consumers', 'no consumer is registered: nobody has counted what is still wrapped')]
  }
  return census.flatMap((fact) => reasonsOf(fact, now, lastUsedAt))
}

function reasonsOf(
  { consumer, takenAt, wrappedKeys }: CensusFact,
  now: number,
  lastUsedAt: number | null,
): Reason[] {
  if (takenAt === null) return [unknown('no_census', `${consumer} has not counted yet`)]
  if (wrappedKeys > 0) {
    return [
      unsafe('census_finds_wrapped_keys', `${consumer} holds ${wrappedKeys} wrapped keys: rewrap them first`),
    ]
  }
  const reasons: Reason[] = []
  if (now - takenAt > maxCensusAgeMs) {
    reasons.push(
      unknown('census_too_old', `${consumer} last counted on ${day(takenAt)}, over seven days ago`),
    )
  }
  if (lastUsedAt !== null && takenAt <= lastUsedAt) {
    reasons.push(unknown('census_before_last_use', `${consumer} counted before the last use`))
  }
  return reasons
}

function fromCopies({ backup, exportedAt }: DestroyFacts): Reason[] {
  const reasons: Reason[] = []
  if (backup === undefined)
    reasons.push(unknown('no_backup', 'there is no backup to go back to after a mistake'))
  else if (!backup.holdsVersion) {
    reasons.push(
      unknown('not_in_backup', `the newest backup, of ${day(backup.at)}, is older than this version`),
    )
  }
  if (exportedAt !== null) {
    // Nothing is lost by it, but it is not destroyed either.
    const detail = `its private key was exported on ${day(exportedAt)} and lives on there`
    reasons.push({ code: 'exported', speaksFor: 'safe', detail })
  }
  return reasons
}

function unsafe(code: ReasonCode, detail: string): Reason {
  return { code, speaksFor: 'unsafe', detail }
}

function unknown(code: ReasonCode, detail: string): Reason {
  return { code, speaksFor: 'unknown', detail }
}

function day(at: number): string {
  return new Date(at).toISOString().slice(0, 10)
}
