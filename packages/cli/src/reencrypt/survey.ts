/** Looks at values without changing any: how many of which kind there are, and whether they open. */

import { setImmediate } from 'node:timers/promises'

import { LegacyError } from '../formats/legacy-format.ts'
import type { LegacyValue } from '../formats/legacy-format.ts'
import type { RowReader, SourceRow } from '../sources/row-source.ts'
import { isEmpty, longholdValue } from './longhold-value.ts'
import { openValue, recognize } from './transform.ts'
import type { TransformSettings } from './transform.ts'

/** Values that look alike. */
export interface SurveyGroup {
  readonly format: string
  readonly keyId: string | undefined
  readonly wrapping: string
  readonly body: string
  readonly isAuthenticated: boolean
  readonly count: number
  readonly tried: number
  readonly opened: number
  /** Of those tried that did not open: how many for which reason. */
  readonly failures: ReadonlyMap<
    string,
    { readonly count: number; readonly reason: string; readonly example: string }
  >
}

export interface Survey {
  readonly values: number
  readonly empty: number
  /** In longhold's form already. */
  readonly already: number
  readonly groups: readonly SurveyGroup[]
  readonly unrecognized: { readonly count: number; readonly examples: readonly string[] }
  /** Rows that cannot be worked on, by code. */
  readonly problems: ReadonlyMap<string, { readonly count: number; readonly example: string }>
  /** Of one opening, in milliseconds; undefined when none was tried. */
  readonly openMs: number | undefined
}

export interface SurveySettings extends Omit<
  TransformSettings,
  'table' | 'column' | 'digestKey' | 'testingAlter'
> {
  readonly reader: RowReader
  /** False: nothing is opened, and no private key is needed. */
  readonly tryToOpen: boolean
  /** Of each group: this many are opened, then every hundredth. */
  readonly samples: number
  /** Ends the survey early: so many values that are not longhold's. */
  readonly maxLegacy: number
  /** Begins after this position; undefined: at the start. */
  readonly after?: string | undefined
  /** Locators of rows that are not looked at. */
  readonly skipped?: ReadonlySet<string>
  readonly onProgress: (values: number) => void
  /** Called between pages; throws to stop. */
  readonly checkStop: () => void
}

interface OpenGroup extends SurveyGroup {
  count: number
  tried: number
  opened: number
  readonly failures: Map<string, { count: number; reason: string; example: string }>
}

const pageLimits = { maxRows: 1000, maxBytes: 16 * 1024 * 1024 }
const everyNth = 100
/** Key ids and names come from the data: a table with a key id per row must not fill the memory. */
const maxGroups = 1000
const maxExamples = 3

export async function survey(settings: SurveySettings): Promise<Survey> {
  const surveyor = new Surveyor(settings)
  let { after } = settings
  for (;;) {
    // A turn of the event loop, so that Ctrl-C is heard.
    await setImmediate()
    settings.checkStop()
    const page = await settings.reader.read(after, pageLimits)
    after = page.position
    for (const row of page.rows) {
      if (settings.skipped?.has(row.locator) !== true) await surveyor.look(row)
    }
    settings.onProgress(surveyor.values + surveyor.empty)
    if (page.isLast || surveyor.legacy >= settings.maxLegacy) return surveyor.result()
  }
}

class Surveyor {
  values = 0
  empty = 0
  legacy = 0
  readonly #settings: SurveySettings
  readonly #groups = new Map<string, OpenGroup>()
  readonly #problems = new Map<string, { count: number; example: string }>()
  readonly #unrecognized: { count: number; examples: string[] } = { count: 0, examples: [] }
  #already = 0
  #openMs = 0
  #tried = 0

  constructor(settings: SurveySettings) {
    this.#settings = settings
  }

  async look(row: SourceRow): Promise<void> {
    const { reader, formats } = this.#settings
    if (isEmpty(row, reader.target.ownColumns)) {
      this.empty++
      return
    }
    this.values++
    if (longholdValue(row.cells[0]) !== undefined) {
      this.#already++
      return
    }
    this.legacy++
    if (row.problem !== undefined) {
      const problem = this.#problems.get(row.problem)
      if (problem === undefined) this.#problems.set(row.problem, { count: 1, example: row.locator })
      else problem.count++
      return
    }
    const found = recognize(formats, row.cells)
    if (found === undefined) {
      this.#unrecognized.count++
      if (this.#unrecognized.examples.length < maxExamples) this.#unrecognized.examples.push(row.locator)
      return
    }
    await this.#add(this.#groupOf(found.format, found.value), found.value, row)
  }

  result(): Survey {
    return {
      values: this.values,
      empty: this.empty,
      already: this.#already,
      groups: [...this.#groups.values()],
      unrecognized: this.#unrecognized,
      problems: this.#problems,
      openMs: this.#tried === 0 ? undefined : this.#openMs / this.#tried,
    }
  }

  #groupOf(format: string, value: LegacyValue): OpenGroup {
    const keyId = this.#groups.size < maxGroups ? value.keyId : undefined
    const name = JSON.stringify([format, keyId ?? null, value.wrapping, value.body])
    let group = this.#groups.get(name)
    if (group === undefined) {
      const { wrapping, body, isAuthenticated } = value
      group = {
        format,
        keyId,
        wrapping,
        body,
        isAuthenticated,
        count: 0,
        tried: 0,
        opened: 0,
        failures: new Map(),
      }
      this.#groups.set(name, group)
    }
    return group
  }

  async #add(group: OpenGroup, value: LegacyValue, { locator }: SourceRow): Promise<void> {
    group.count++
    const { tryToOpen, samples } = this.#settings
    if (!tryToOpen || (group.count > samples && group.count % everyNth !== 0)) return
    group.tried++
    const startMs = performance.now()
    try {
      const plaintext = await openValue(value, { ...this.#settings, acceptUnauthenticated: true })
      plaintext.fill(0)
      group.opened++
    } catch (error) {
      if (!(error instanceof LegacyError)) throw error
      const failure = group.failures.get(error.code)
      if (failure === undefined) {
        group.failures.set(error.code, { count: 1, reason: error.message, example: locator })
      } else failure.count++
    }
    this.#openMs += performance.now() - startMs
    this.#tried++
  }
}
