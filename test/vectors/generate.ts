/**
 * Writes the published vectors, `test/vectors/published/*.json`: node test/vectors/generate.ts. Everything in them is
 * derived from fixed labels, so that another run gives the same bytes. One fault each, and a comment saying what it is.
 */

import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { testingUseBackend } from '../../packages/core/src/primitives/backend.ts'
import type { CaseFile } from './generators/case-file.ts'
import { envelopeFiles } from './generators/envelopes.ts'
import { keyTexts } from './generators/key-texts.ts'
import { limitFile } from './generators/limits.ts'
import { recordFiles } from './generators/records.ts'
import { smallFiles } from './generators/small.ts'
import { valueFiles } from './generators/typed-values.ts'
import { wrappedKeyFiles } from './generators/wrapped-keys.ts'
import type { VectorCase } from './schema.ts'

/** The files by name. The portable backend makes them, since it takes the randomness of an encapsulation. */
export async function generate(): Promise<ReadonlyMap<string, CaseFile>> {
  testingUseBackend('noble')
  try {
    const files = [
      ...smallFiles(),
      keyTexts(),
      ...valueFiles(),
      ...(await recordFiles()),
      ...wrappedKeyFiles(),
      ...(await envelopeFiles()),
      limitFile(),
    ]
    return new Map(files.map((file) => [file.name, file]))
  } finally {
    testingUseBackend('chosen')
  }
}

if (import.meta.main) {
  const folder = join(import.meta.dirname, 'published')
  mkdirSync(folder, { recursive: true })
  const cases: VectorCase[] = []
  for (const [name, file] of await generate()) {
    writeFileSync(join(folder, name), file.text())
    cases.push(...file.cases)
  }
  const refused = cases.filter(({ result }) => result === 'refused').length
  console.log(`${cases.length} cases: ${cases.length - refused} valid, ${refused} refused`)
}
