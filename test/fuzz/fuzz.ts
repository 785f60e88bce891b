/** The loop: makes trials from a seed, runs them on the backends, compares with the model, counts where they end. */

import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import * as containers from './containers.ts'
import { same } from './drafts.ts'
import { openLab } from './lab.ts'
import type { BackendName } from './lab.ts'
import { Random } from './random.ts'
import { stanza } from './stanzas.ts'
import * as texts from './texts.ts'
import type { Input, Outcome, Target } from './trial.ts'
import * as values from './values.ts'

export const targets: readonly Target[] = [
  ...Object.values(containers),
  stanza,
  ...Object.values(texts),
  values.value,
  values.context,
]

/** How often each target's inputs ended where; `framed` counts those past steps 1 to 6 of SPEC §5.3. */
export interface Tally {
  executions: number
  framed: number
  /** Executed a second time on the portable backend. */
  onNoble: number
  readonly ends: Map<string, number>
}

export const newTally = (): Tally => ({ executions: 0, framed: 0, onNoble: 0, ends: new Map() })

/** A trial that did not end where it should. `index` with the seed gives it again. */
export class Find extends Error {
  override readonly name = 'Find'
  readonly target: string
  readonly input: Input

  constructor(target: string, input: Input, where: string, what: string, cause?: unknown) {
    super(`${target}: ${what} (${where})\n${describe(input)}`, { cause })
    this.target = target
    this.input = input
  }
}

const describe = ({ bytes, args }: Input) => `${JSON.stringify(args)} ${Buffer.from(bytes).toString('hex')}`

export interface Fuzzer {
  /** Executes the trials of one seed from `from` on, `count` of them. */
  run(seed: number, from: number, count: number, tally: Tally): Promise<void>
  /** What one input of a target comes to. */
  execute(target: Target, input: Input, backend: BackendName): Promise<Outcome>
}

interface FuzzerOptions {
  /** The share of trials that run on the portable backend too, which is some thirty times slower. */
  readonly nobleShare: number
  readonly keep?: Keep
  readonly only?: readonly Target[]
}

export function openFuzzer({ nobleShare, keep, only = targets }: FuzzerOptions): Fuzzer {
  const lab = openLab()
  const wheel = only.flatMap((target) => Array.from({ length: target.weight }, () => target))
  const execute = async (target: Target, input: Input, backend: BackendName) => {
    testingUseBackend(backend)
    return await target.run(input, lab.worlds[backend])
  }
  return {
    execute,
    async run(seed, from, count, tally) {
      try {
        for (let index = from; index < from + count; index++) {
          const random = new Random(seed, index)
          await trial(random.pick(wheel), random, `seed ${seed}, trial ${index}`, tally)
        }
      } finally {
        testingUseBackend('chosen')
      }
    },
  }

  async function trial(target: Target, random: Random, where: string, tally: Tally): Promise<void> {
    const backends: BackendName[] = random.chance(nobleShare) ? ['native', 'noble'] : ['native']
    testingUseBackend('native') // what a trial seals, it seals there
    const { input, expected } = target.make(random, lab)
    for (const backend of backends) {
      const found = (what: string, cause?: unknown) =>
        new Find(target.name, input, `${where}, on ${backend}`, what, cause)
      let outcome: Outcome
      try {
        outcome = await execute(target, input, backend)
      } catch (error) {
        throw found(`neither a result nor a LongholdError: ${String(error)}`, error)
      }
      if (outcome.code !== expected.code)
        throw found(`${outcome.code} instead of ${expected.code} at "${expected.step}"`)
      if (!same(outcome.output ?? nothing, expected.output ?? nothing))
        throw found('opened, with another content')
    }
    const end = `${target.name} | ${expected.step} | ${expected.code}`
    tally.executions++
    tally.framed += expected.framed ? 1 : 0
    tally.onNoble += backends.length - 1
    tally.ends.set(end, (tally.ends.get(end) ?? 0) + 1)
    keep?.(end, target, input, expected)
  }
}

/** Sees every trial that ended as it should: for making a corpus. */
export type Keep = (end: string, target: Target, input: Input, expected: Outcome) => void

const nothing = new Uint8Array()
