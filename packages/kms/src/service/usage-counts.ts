/**
 * How often each version was used, by day. Counted in memory and added to the database's rows a few times a minute:
 * a row for each use would double the cost of an unwrap. A crash loses the counts since, never the audit log's
 * entries; the day of a version's first use is written with that entry, so that "not used" is never said by mistake.
 */

const dayMs = 24 * 60 * 60 * 1000
/** Days that are told apart; what is older is in the total. */
export const keptDays = 90

export interface Usage {
  /** Of all time. */
  readonly total: number
  readonly lastUsedAt: number
  /** Days since 1970 and uses on them, ascending. */
  readonly days: readonly (readonly [day: number, uses: number])[]
}

export const noUsage: Usage = { total: 0, lastUsedAt: 0, days: [] }

export function dayOf(at: number): number {
  return Math.floor(at / dayMs)
}

/** Both together, in either order. Days before the kept ones are dropped; the newest day decides which those are. */
export function addUsage(a: Usage, b: Usage): Usage {
  const days = new Map(a.days)
  for (const [day, uses] of b.days) days.set(day, (days.get(day) ?? 0) + uses)
  const newest = Math.max(...days.keys(), 0)
  return {
    total: a.total + b.total,
    lastUsedAt: Math.max(a.lastUsedAt, b.lastUsedAt),
    days: [...days].filter(([day]) => day > newest - keptDays).toSorted(([left], [right]) => left - right),
  }
}

/** Uses on this day and the `days` − 1 before it. */
export function usesWithin(usage: Usage, days: number, now: number): number {
  const today = dayOf(now)
  return usage.days.reduce((sum, [day, uses]) => (day > today - days ? sum + uses : sum), 0)
}

/** What was counted since it was last taken. */
export class UsageCounts {
  #counts = new Map<string, { key: string; version: number; usage: Usage }>()

  count(key: string, version: number, at: number, uses = 1): void {
    const name = `${key}/${version}`
    const usage = this.#counts.get(name)?.usage ?? noUsage
    const more = { total: uses, lastUsedAt: at, days: [[dayOf(at), uses] as const] }
    this.#counts.set(name, { key, version, usage: addUsage(usage, more) })
  }

  /** What is not in the database yet, of one version. */
  of(key: string, version: number): Usage {
    return this.#counts.get(`${key}/${version}`)?.usage ?? noUsage
  }

  /** Takes everything; what cannot be written is to be put back. */
  take(): readonly { readonly key: string; readonly version: number; readonly usage: Usage }[] {
    const taken = [...this.#counts.values()]
    this.#counts = new Map()
    return taken
  }

  putBack(taken: readonly { readonly key: string; readonly version: number; readonly usage: Usage }[]): void {
    for (const { key, version, usage } of taken) {
      const name = `${key}/${version}`
      this.#counts.set(name, { key, version, usage: addUsage(usage, this.of(key, version)) })
    }
  }
}
