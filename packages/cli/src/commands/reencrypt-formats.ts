/** Formats as flags and configuration choose them, and what becomes of them in a worker. */

import { builtInFormats } from '../formats/built-in.ts'
import type { BuiltInFormat, BuiltInName } from '../formats/built-in.ts'
import { declaredFormat, layoutColumns } from '../formats/declared.ts'
import type { DeclaredLayout } from '../formats/declared.ts'
import type { LegacyFormat } from '../formats/legacy-format.ts'

/** Plain data, so that it can go to a worker. */
export type FormatChoice = BuiltInChoice | { readonly kind: 'declared'; readonly layout: DeclaredLayout }

export interface BuiltInChoice {
  readonly kind: 'built-in'
  readonly type: BuiltInName
  /** As reports name it, where `longhold.yaml` gave it a name. Default: the type. */
  readonly name?: string
  /** What its schema made of the configuration. */
  readonly settings?: unknown
}

/** As reports and flags name it. */
export function nameOf(choice: FormatChoice): string {
  return choice.kind === 'declared' ? choice.layout.name : (choice.name ?? choice.type)
}

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
export async function makeFormats(
  choices: readonly FormatChoice[],
  columns: readonly string[],
): Promise<LegacyFormat[]> {
  return await Promise.all(
    choices.map(async (choice) => {
      if (choice.kind === 'declared') return declaredFormat(choice.layout, columns)
      const format: BuiltInFormat = builtInFormats[choice.type]
      const made = await format.load(choice.settings, columns)
      const name = nameOf(choice)
      return made.name === name ? made : { name, recognize: (cells) => made.recognize(cells) }
    }),
  )
}
