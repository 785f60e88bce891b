/**
 * The corpus: for each end that inputs of each target have met, the smallest input that met it. Replayed on both backends;
 * `node test/fuzz/corpus.ts` makes it anew.
 */

import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { newTally, openFuzzer } from './fuzz.ts'
import { sha256 } from './model.ts'
import type { Input, Outcome } from './trial.ts'

export interface CorpusEntry {
  readonly target: string
  /** Where the model says that it ends. */
  readonly step: string
  readonly code: string
  /** SHA-256 of what comes out. */
  readonly output?: string
  readonly args: Readonly<Record<string, number>>
  /** base64 */
  readonly bytes: string
}

const path = join(import.meta.dirname, 'corpus.json')

export function readCorpus(): readonly CorpusEntry[] {
  return JSON.parse(readFileSync(path, 'utf8')) as CorpusEntry[]
}

export function inputOf({ bytes, args }: CorpusEntry): Input {
  return { bytes: new Uint8Array(Buffer.from(bytes, 'base64')), args }
}

/** In the form of an entry's `output`. */
export function digestOf({ output }: Outcome): string | undefined {
  return output === undefined ? undefined : Buffer.from(sha256(output)).toString('hex')
}

if (import.meta.main) {
  const smallest = new Map<string, { size: number; entry: CorpusEntry }>()
  const fuzzer = openFuzzer({
    nobleShare: 0,
    keep(end, target, { bytes, args }, outcome) {
      if ((smallest.get(end)?.size ?? 4096) <= bytes.length) return
      const [, step = ''] = end.split(' | ')
      const output = digestOf(outcome)
      const encoded = Buffer.from(bytes).toString('base64')
      const entry = { target: target.name, step, code: outcome.code, args, bytes: encoded }
      smallest.set(end, { size: bytes.length, entry: output === undefined ? entry : { ...entry, output } })
    },
  })
  await fuzzer.run(1, 0, 40_000, newTally())
  const entries = [...smallest].toSorted(([a], [b]) => (a < b ? -1 : 1))
  const lines = entries.map(([, { entry }]) => JSON.stringify(entry))
  writeFileSync(path, `[\n${lines.join(',\n')}\n]\n`)
  console.log(`${entries.length} entries`)
}
