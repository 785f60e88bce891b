/** The list of formats: a new one is a file in formats/ and a line here. */

import { declaredFormat, layoutColumns } from '../formats/declared.ts'
import type { DeclaredLayout } from '../formats/declared.ts'
import { jwe } from '../formats/jwe.ts'
import type { LegacyFormat } from '../formats/legacy-format.ts'

/** Plain data, so that it can go to a worker. */
export type FormatChoice =
  | { readonly kind: 'jwe' }
  | { readonly kind: 'declared'; readonly layout: DeclaredLayout }

/** What the formats need of a row. */
export function columnsOf(choices: readonly FormatChoice[], valueColumn: string) {
  const own = new Set([valueColumn])
  const read = new Set<string>()
  for (const choice of choices) {
    if (choice.kind !== 'declared') continue
    const columns = layoutColumns(choice.layout)
    columns.own.forEach((column) => own.add(column))
    columns.read.forEach((column) => read.add(column))
  }
  return { own: [...own], read: [...read].filter((column) => !own.has(column)) }
}

/** @param columns As the choices name them, in the order of a row's cells. */
export function makeFormats(choices: readonly FormatChoice[], columns: readonly string[]): LegacyFormat[] {
  return choices.map((choice) => (choice.kind === 'jwe' ? jwe : declaredFormat(choice.layout, columns)))
}
