/** Looks at objects without changing any: how many of which kind there are, and whether they open. */

import { setImmediate } from 'node:timers/promises'

import type { ListedObject, ObjectReader } from '../sources/object-source.ts'
import { Problem } from '../sources/problem.ts'
import type { ObjectWorkers } from './object-pool.ts'
import type { LegacyFacts, ObjectAnswer } from './object-transform.ts'

/** Objects that look alike. */
export interface ObjectGroup extends LegacyFacts {
  readonly count: number
  readonly bytes: number
  readonly tried: number
  readonly opened: number
  readonly failures: ReadonlyMap<string, Failure>
}

export interface Failure {
  readonly count: number
  readonly reason: string
  readonly example: string
}

export interface ObjectSurvey {
  readonly groups: readonly ObjectGroup[]
  readonly already: number
  /** Of no named format, links and devices. */
  readonly others: number
  readonly examples: readonly string[]
  /** Objects that cannot be worked on, by code. */
  readonly problems: ReadonlyMap<string, Failure>
  readonly bytes: number
  /** Milliseconds for a byte that was opened; undefined when none was tried. */
  readonly openMsPerByte: number | undefined
}

export interface ObjectSurveySettings {
  readonly reader: ObjectReader
  readonly workers: ObjectWorkers
  readonly tryToOpen: boolean
  /** Of each group: this many are opened, then every hundredth. */
  readonly samples: number
  readonly onProgress: (bytes: number) => void
  /** Called between pages; throws to stop. */
  readonly checkStop: () => void
}

interface OpenGroup extends ObjectGroup {
  count: number
  bytes: number
  tried: number
  opened: number
  readonly failures: Map<string, Failure>
}

const pageLimits = { maxObjects: 256, maxBytes: 1024 ** 4 }
const everyNth = 100
/** Key ids come from the data: a tree with a key id for each file must not fill the memory. */
const maxGroups = 1000
const maxExamples = 3

export async function surveyObjects(settings: ObjectSurveySettings): Promise<ObjectSurvey> {
  const surveyor = new Surveyor(settings)
  for (let after: string | undefined; ;) {
    // A turn of the event loop, so that Ctrl-C is heard.
    await setImmediate()
    settings.checkStop()
    const page = await settings.reader.list(after, pageLimits)
    after = page.position
    surveyor.others += page.skipped
    await Promise.all(page.objects.map((object) => surveyor.look(object)))
    settings.onProgress(surveyor.bytes)
    if (page.isLast) return surveyor.result()
  }
}

class Surveyor {
  others = 0
  bytes = 0
  readonly #settings: ObjectSurveySettings
  readonly #groups = new Map<string, OpenGroup>()
  readonly #problems = new Map<string, Failure>()
  readonly #examples: string[] = []
  #already = 0
  #openMs = 0
  #openBytes = 0

  constructor(settings: ObjectSurveySettings) {
    this.#settings = settings
  }

  async look(object: ListedObject): Promise<void> {
    const { name, size, problem, version } = object
    this.bytes += size
    if (problem !== undefined && version === '') return addFailure(this.#problems, problem, problem, name)
    const { reader, workers } = this.#settings
    const look = await workers.work({ step: 'look', place: reader.place(object) })
    if (look.kind === 'longhold') this.#already++
    else if (look.kind === 'refused') addFailure(this.#problems, look.code, look.reason, name)
    else if (look.kind === 'legacy') {
      if (problem !== undefined) addFailure(this.#problems, problem, problem, name)
      await this.#add(object, look)
    } else if (look.kind === 'stopped') throw stopped(look)
    else {
      this.others++
      if (this.#examples.length < maxExamples && size > 0) this.#examples.push(name)
    }
  }

  result(): ObjectSurvey {
    return {
      groups: [...this.#groups.values()],
      already: this.#already,
      others: this.others,
      examples: this.#examples,
      problems: this.#problems,
      bytes: this.bytes,
      openMsPerByte: this.#openBytes === 0 ? undefined : this.#openMs / this.#openBytes,
    }
  }

  #groupOf({ format, keyId: said, wrapping, body, isAuthenticated }: LegacyFacts): OpenGroup {
    const keyId = this.#groups.size < maxGroups ? said : undefined
    const name = JSON.stringify([format, keyId ?? null, wrapping, body])
    const group = this.#groups.get(name) ?? {
      format,
      keyId,
      wrapping,
      body,
      isAuthenticated,
      count: 0,
      bytes: 0,
      tried: 0,
      opened: 0,
      failures: new Map<string, Failure>(),
    }
    this.#groups.set(name, group)
    return group
  }

  async #add(object: ListedObject, facts: LegacyFacts): Promise<void> {
    const group = this.#groupOf(facts)
    group.count++
    group.bytes += object.size
    const { tryToOpen, samples, reader, workers } = this.#settings
    if (!tryToOpen || (group.count > samples && group.count % everyNth !== 0)) return
    group.tried++
    const startMs = performance.now()
    const answer = await workers.work({ step: 'try', place: reader.place(object) })
    this.#openMs += performance.now() - startMs
    this.#openBytes += object.size
    if (answer.kind === 'opened') group.opened++
    else if (answer.kind === 'refused') addFailure(group.failures, answer.code, answer.reason, object.name)
    else if (answer.kind === 'stopped') throw stopped(answer)
    else addFailure(group.failures, 'changed', 'it was written to meanwhile', object.name)
  }
}

export function addFailure(
  failures: Map<string, Failure>,
  code: string,
  reason: string,
  example: string,
): void {
  const before = failures.get(code)
  failures.set(code, { reason, example, ...before, count: (before?.count ?? 0) + 1 })
}

function stopped({ as, message, hint }: Extract<ObjectAnswer, { kind: 'stopped' }>): Problem {
  return new Problem(as, message, hint === undefined ? {} : { hint })
}
