/** Formats as flags and configuration choose them, and what becomes of them in a worker. */

import { builtInFormats } from '../formats/built-in.ts'
import type { BuiltInFormat, BuiltInName } from '../formats/built-in.ts'
import { layoutColumns } from '../formats/declared-layout.ts'
import type { DeclaredLayout } from '../formats/declared-layout.ts'
import { declaredFormat } from '../formats/declared.ts'
import { LegacyError } from '../formats/legacy-format.ts'
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
    const columns = choice.kind === 'declared' ? layoutColumns(choice.layout) : builtInColumns(choice)
    columns.own.forEach((column) => own.add(column))
    columns.read.forEach((column) => read.add(column))
  }
  return { own: [...own], read: [...read].filter((column) => !own.has(column)) }
}

function builtInColumns({ type, settings }: BuiltInChoice) {
  const format: BuiltInFormat = builtInFormats[type]
  return format.columns?.(settings) ?? { own: [], read: [] }
}

/** Whether one of the formats asks the private keys of the run. */
export function needKeys(choices: readonly FormatChoice[]): boolean {
  return choices.some((choice) => {
    if (choice.kind === 'declared') return true
    const format: BuiltInFormat = builtInFormats[choice.type]
    return format.hasOwnKeys?.(choice.settings) !== true
  })
}

/** Who else reads values of the formats that were chosen. */
export function foreignReaders(choices: readonly FormatChoice[]): string[] {
  const readers = choices.flatMap((choice) => foreignReaderOf(choice) ?? [])
  return [...new Set(readers)]
}

function foreignReaderOf(choice: FormatChoice): string | undefined {
  if (choice.kind === 'declared') return undefined
  const format: BuiltInFormat = builtInFormats[choice.type]
  return format.foreignReader
}

/**
 * @param columns As the choices name them, in the order of a row's cells.
 * @param isConsumerReady False: values that somebody else reads too are recognised, and do not open.
 */
export async function makeFormats(
  choices: readonly FormatChoice[],
  columns: readonly string[],
  isConsumerReady = true,
): Promise<LegacyFormat[]> {
  return await Promise.all(
    choices.map(async (choice) => {
      if (choice.kind === 'declared') return declaredFormat(choice.layout, columns)
      const format: BuiltInFormat = builtInFormats[choice.type]
      const made = await format.load(choice.settings, columns)
      const name = nameOf(choice)
      const reader = foreignReaderOf(choice)
      if (reader !== undefined && !isConsumerReady) return onlyRecognizing(made, name, reader)
      return made.name === name ? made : { name, recognize: (cells) => made.recognize(cells) }
    }),
  )
}

function onlyRecognizing(format: LegacyFormat, name: string, reader: string): LegacyFormat {
  return {
    name,
    recognize(cells) {
      const value = format.recognize(cells)
      if (value === undefined) return undefined
      const { keyId, wrapping, body, isAuthenticated } = value
      return {
        keyId,
        wrapping,
        body,
        isAuthenticated,
        open() {
          throw new LegacyError('foreign_reader', `${reader} reads it too`)
        },
      }
    },
  }
}
