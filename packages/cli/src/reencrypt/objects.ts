/**
 * The run over whole objects: pages are listed in order, their objects worked on at the same time, and committed in the
 * order of the pages, each object only if it still is what was read. Passes repeat until one finds nothing to do.
 */

import { createHmac } from 'node:crypto'
import { open } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'

import { attach, DataKey, equalBytes, LongholdError, openEncrypted, toHex, wrapDataKey } from '@longhold/core'
import type { Identity, RandomAccessSource, Recipient, Suite } from '@longhold/core'

import type {
  DecidedObjects,
  ListedObject,
  ObjectFate,
  ObjectPage,
  ObjectPageLimits,
  ObjectSource,
} from '../sources/object-source.ts'
import { Problem } from '../sources/problem.ts'
import type { Awaitable } from '../sources/row-source.ts'
import { addsUp, noCounts } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import type { ObjectWorkers } from './object-pool.ts'
import type { LegacyFacts } from './object-transform.ts'
import type { Throttle } from './throttle.ts'

export interface ObjectRunSettings {
  readonly source: ObjectSource
  readonly workers: ObjectWorkers
  /** Where the run goes on, or a new one. */
  readonly state: RunState
  readonly recipients: readonly Recipient[]
  /** Without any, nothing proves that the recipients can open what is written. */
  readonly identities: readonly Identity[]
  readonly suites: readonly Suite[]
  /** Of the envelope of an object. */
  readonly contextOf: (name: string) => Readonly<Record<string, string>>
  /** Each envelope of this number in a row is opened through a real identity before it takes a place. */
  readonly checkEvery: number
  readonly maxPasses: number
  /** The workers' too. */
  readonly digestKey: Uint8Array
  /** Stops listing; what is under way is committed. */
  readonly signal: AbortSignal
  /** @param bytes Of the objects that this pass has behind it. */
  readonly onProgress: (state: RunState, bytes: number) => void
  readonly throttle?: Throttle | undefined
  /** Of what is committed at once. */
  readonly testingPageLimits?: ObjectPageLimits
  /** Runs between the reading and the replacing of a page's objects. */
  readonly testingBeforeCommit?: (page: ObjectPage) => Awaitable<void>
}

const pageLimits: ObjectPageLimits = { maxObjects: 64, maxBytes: 64 * 1024 * 1024 }
/** Pages on their way: the next one keeps the workers busy while one is committed. */
const pagesAhead = 3
/** Key ids come from the data. */
const maxKeyIdChars = 200
const sliceBytes = 1024 * 1024

/**
 * @returns The state at the end: `finished`, or `stopped` when the signal came or old objects kept appearing.
 * @throws Problem, LongholdError `unavailable`: the target is as the last commit left it, and another run goes on there.
 */
export async function reencryptObjects(settings: ObjectRunSettings): Promise<RunState> {
  const run = new ObjectRun(settings)
  return await run.toEnd()
}

class ObjectRun {
  readonly #settings: ObjectRunSettings
  readonly #source: ObjectSource
  #state: RunState
  #bytes = 0
  /** The first envelope is always checked. */
  #untilCheck = 1

  constructor(settings: ObjectRunSettings) {
    this.#settings = settings
    this.#source = settings.source
    this.#state = { ...settings.state, status: 'running' }
  }

  async toEnd(): Promise<RunState> {
    const { maxPasses } = this.#settings
    this.#state = await this.#source.begin(this.#state)
    // A run that goes on first ends the pass it was in, then has as many as a new one.
    const lastPass = this.#state.pass + maxPasses - (this.#state.position === undefined ? 1 : 0)
    for (;;) {
      if (!(await this.#pass())) return await this.#end('stopped')
      const { counts, pass } = this.#state
      if (!addsUp(counts)) throw new Error(`pass ${pass} does not add up: ${JSON.stringify(counts)}`)
      if (counts.migrated === 0 && counts.conflict === 0) return await this.#end('finished')
      if (pass >= lastPass) return await this.#end('stopped')
      this.#state = { ...this.#state, pass: pass + 1, position: undefined, counts: noCounts }
      this.#bytes = 0
      await this.#source.store(this.#state)
    }
  }

  async #end(status: 'stopped' | 'finished'): Promise<RunState> {
    const now = new Date().toISOString()
    const finishedAt = status === 'finished' ? now : undefined
    this.#state = { ...this.#state, status, updatedAt: now, finishedAt }
    await this.#source.store(this.#state)
    return this.#state
  }

  /** @returns False when it was interrupted. */
  async #pass(): Promise<boolean> {
    const { signal, throttle } = this.#settings
    const queue: Promise<DecidedObjects>[] = []
    let after = this.#state.position
    let isRead = false
    try {
      for (;;) {
        while (!isRead && !signal.aborted && queue.length < pagesAhead) {
          if (throttle !== undefined && !(await throttle.isOpen())) {
            // What was read is committed first: it does not get older by waiting.
            if (queue.length > 0 || !(await throttle.turn())) break
          }
          const page = await this.#source.list(after, this.#settings.testingPageLimits ?? pageLimits)
          after = page.position
          isRead = page.isLast
          const decided = this.#decide(page)
          decided.catch(() => {}) // it is awaited in its turn, perhaps after it failed
          queue.push(decided)
        }
        const first = queue[0]
        if (first === undefined) return isRead
        await this.#commit(await first)
        void queue.shift()
        // Pages without work never leave the microtasks: Ctrl-C needs a turn of the event loop.
        await setImmediate()
      }
    } catch (error) {
      // What is still on its way will not be committed.
      const ended = await Promise.allSettled(queue)
      for (const one of ended) if (one.status === 'fulfilled') this.#forget(one.value)
      throw error
    }
  }

  async #commit(decided: DecidedObjects): Promise<void> {
    const { throttle, testingBeforeCommit, onProgress } = this.#settings
    await testingBeforeCommit?.(decided.page)
    const startMs = performance.now()
    this.#state = await this.#source.commit(this.#state, decided)
    const plaintextBytes = decided.fates.reduce(
      (sum, one) => sum + (one.fate === 'staged' ? one.envelope.plaintextBytes : 0),
      0,
    )
    throttle?.note([{ page: { rows: decided.page.objects }, plaintextBytes }], performance.now() - startMs)
    this.#bytes += decided.page.objects.reduce((sum, { size }) => sum + size, 0)
    onProgress(this.#state, this.#bytes)
  }

  #forget({ fates }: DecidedObjects): void {
    for (const one of fates) if (one.fate === 'staged') this.#source.unstage(one.envelope.path)
  }

  async #decide(page: ObjectPage): Promise<DecidedObjects> {
    const settled = await Promise.allSettled(page.objects.map((object) => this.#fateOf(object)))
    const fates: ObjectFate[] = []
    let failure: PromiseRejectedResult | undefined
    for (const one of settled) {
      if (one.status === 'fulfilled') fates.push(one.value)
      else failure ??= one
    }
    if (failure === undefined) return { page, fates }
    this.#forget({ page, fates })
    throw failure.reason
  }

  async #fateOf(object: ListedObject): Promise<ObjectFate> {
    const { name, problem } = object
    // Nobody could say what it is.
    if (problem !== undefined && object.version === '') return dead(name, undefined, problem)
    const look = await this.#settings.workers.work({ step: 'look', place: this.#source.place(object) })
    switch (look.kind) {
      case 'other':
        return { fate: 'other' }
      case 'longhold':
        return { fate: this.#source.isOurs(this.#state.runId, look.keyId) ? 'earlier' : 'already' }
      case 'legacy':
        return problem === undefined ? await this.#replace(object, look) : dead(name, look, problem)
      case 'changed':
        return { fate: 'conflict' }
      case 'refused':
        return dead(name, undefined, look.code)
      case 'stopped':
        throw new Problem(look.as, look.message, look.hint === undefined ? {} : { hint: look.hint })
      default:
        throw new Error(`an answer to look that is none: ${look.kind}`)
    }
  }

  async #replace(object: ListedObject, facts: LegacyFacts): Promise<ObjectFate> {
    const { recipients, suites, workers } = this.#settings
    const { name } = object
    const context = this.#settings.contextOf(name)
    const dataKey = DataKey.generate()
    const path = this.#source.stage(object)
    try {
      const envelopeHead = await headOf(dataKey, context, recipients, suites)
      const answer = await workers.work({
        step: 'stage',
        place: this.#source.place(object),
        path,
        dataKey: dataKey.use((bytes) => Uint8Array.from(bytes)),
        envelopeHead,
        context,
      })
      if (answer.kind === 'staged') {
        const { bytes, plaintextBytes, isAuthenticated, digest } = answer
        await this.#checkSample(path, name, context, digest)
        const keyId = toHex(dataKey.keyId)
        return { fate: 'staged', envelope: { path, keyId, bytes, plaintextBytes, isAuthenticated } }
      }
      this.#source.unstage(path)
      if (answer.kind === 'refused') return dead(name, facts, answer.code)
      if (answer.kind !== 'stopped') return { fate: 'conflict' }
      throw new Problem(answer.as, answer.message, answer.hint === undefined ? {} : { hint: answer.hint })
    } catch (error) {
      this.#source.unstage(path)
      if (error instanceof LongholdError && error.code === 'bad_context') return dead(name, facts, 'bad_id')
      throw error
    } finally {
      dataKey.wipe()
    }
  }

  /** Opens a sample as its recipients will, and compares digests of the plaintexts. @throws Problem */
  async #checkSample(
    path: string,
    name: string,
    context: Readonly<Record<string, string>>,
    digest: Uint8Array,
  ): Promise<void> {
    const { identities, suites, checkEvery, digestKey } = this.#settings
    if (identities.length === 0 || --this.#untilCheck > 0) return
    this.#untilCheck = checkEvery
    try {
      if (equalBytes(await digestOf(path, { identities, suites, context }, digestKey), digest)) return
    } catch (error) {
      if (!(error instanceof LongholdError) || error.code === 'unavailable') throw error
      const isOthers = error.code === 'not_a_recipient'
      throw new Problem(isOthers ? 'wrong' : 'refused', `the envelope for ${name}: ${error.message}`, {
        hint: isOthers
          ? 'add a recipient of the identity, or leave --identity out'
          : 'suspect the machine itself; nothing was put in its place',
        cause: error,
      })
    }
    throw new Problem(
      'refused',
      `the envelope for ${name} opens to something else: it was not put in place`,
      {
        hint: 'suspect the machine itself',
      },
    )
  }
}

/** An envelope before its body (SPEC §6.5): what stands in front of an empty one. */
async function headOf(
  dataKey: DataKey,
  context: Readonly<Record<string, string>>,
  recipients: readonly Recipient[],
  suites: readonly Suite[],
): Promise<Uint8Array> {
  const wrappedKey = await wrapDataKey(dataKey, { recipients, keyContext: context, suites })
  const record = dataKey.encrypt(new Uint8Array(), { recordContext: context })
  return attach({ wrappedKey, record }, { suites }).slice(0, wrappedKey.length)
}

interface OpenOptions {
  readonly identities: readonly Identity[]
  readonly suites: readonly Suite[]
  readonly context: Readonly<Record<string, string>>
}

async function digestOf(path: string, options: OpenOptions, key: Uint8Array): Promise<Uint8Array> {
  await using file = await open(path, 'r')
  const { size } = await file.stat()
  const source: RandomAccessSource = {
    size,
    async read(offset, length) {
      const bytes = Buffer.allocUnsafeSlow(length)
      const { bytesRead } = await file.read(bytes, 0, length, offset)
      if (bytesRead < length) throw new Error('an envelope became shorter while it was read')
      return bytes
    },
  }
  const reader = await openEncrypted(source, options)
  const hmac = createHmac('sha256', key)
  try {
    for (let at = 0; at < reader.size; at += sliceBytes) {
      const slice = await reader.slice(at, Math.min(at + sliceBytes, reader.size))
      hmac.update(slice)
      slice.fill(0)
    }
  } finally {
    reader.close()
  }
  return hmac.digest()
}

function dead(locator: string, facts: LegacyFacts | undefined, code: string): ObjectFate {
  const keyId = facts?.keyId?.slice(0, maxKeyIdChars)
  return { fate: 'dead', letter: { locator, format: facts?.format, keyId, code } }
}
