/** Order statistics of small samples. Means are not used: one interrupted round would carry them away. */

/** What a series of measurements says: the middle, and where the middle half lies. */
export interface Summary {
  readonly median: number
  readonly q1: number
  readonly q3: number
  readonly min: number
}

export function summarise(values: readonly number[]): Summary {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    median: quantile(sorted, 0.5),
    q1: quantile(sorted, 0.25),
    q3: quantile(sorted, 0.75),
    min: quantile(sorted, 0),
  }
}

export function median(values: readonly number[]): number {
  return summarise(values).median
}

/**
 * How many times `slow` takes as long as `fast`, round by round: what disturbed a round disturbed both, so the
 * quotients of one round are steadier than the quotient of two medians.
 */
export function pairedRatio(slow: readonly number[], fast: readonly number[]): Summary {
  if (slow.length !== fast.length || slow.length === 0) throw new Error('rounds do not pair up')
  return summarise(slow.map((value, round) => value / (fast[round] ?? Number.NaN)))
}

/** Linear interpolation between the two neighbours. */
function quantile(sorted: readonly number[], at: number): number {
  const position = at * (sorted.length - 1)
  const below = Math.floor(position)
  const low = sorted[below] ?? Number.NaN
  const high = sorted[below + 1] ?? low
  return low + (high - low) * (position - below)
}
