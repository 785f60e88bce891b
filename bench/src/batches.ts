/**
 * Many operations at once: batches over two worker threads beside one thread, and the asynchronous libraries with many
 * calls in flight, which their runtime spreads over its own threads.
 */

import { Worker } from 'node:worker_threads'

import { makeBatchJobs, type BatchRequest } from './batch-jobs.ts'
import { compare } from './comparison.ts'
import type { Comparison, Contestant } from './comparison.ts'
import { expectBytes, type Inputs, type Operation, type Peer } from './peers/peer.ts'

const titles = {
  encapsulate: 'Encapsulate, many at once',
  decapsulate: 'Decapsulate, many at once',
} as const

/** Operations that one message asks of a worker. */
const sizes = [1, 8, 32, 128]
const nameOf = (perMessage: number) => `longhold, node:crypto, two workers, ${perMessage} in a message`
/** The row that the target is about. */
export const largeMessages = nameOf(32)
/** Messages that a worker has before it answers: one in work, one waiting. */
const ahead = 2
const operationsPerRun = 256
const inFlight = 16

/** @param asynchronous Whose operations return promises. */
export async function compareBatches(
  inputs: Inputs,
  asynchronous: readonly Peer[],
  rounds: number,
): Promise<Comparison[]> {
  const { seed, publicKey, encapsulatedKey, sharedSecret } = inputs
  const here = makeBatchJobs({ seed, publicKey })
  const workers = new Pool(2, { seed, publicKey })
  try {
    const [first] = await workers.run({ operation: 'decapsulate', keys: encapsulatedKey }, 1)
    expectBytes(first, sharedSecret, 'a worker decapsulates')

    const comparisons: Comparison[] = []
    for (const operation of ['encapsulate', 'decapsulate'] as const) {
      const request = (count: number): BatchRequest =>
        operation === 'encapsulate'
          ? { operation, count }
          : {
              operation,
              keys: Uint8Array.from(Buffer.concat(Array.from({ length: count }, () => encapsulatedKey))),
            }
      const all = request(operationsPerRun)
      const one: Contestant = {
        name: 'longhold, node:crypto, one thread',
        kind: 'ours',
        operations: operationsPerRun,
        run: () =>
          all.operation === 'encapsulate' ? here.encapsulate(all.count) : here.decapsulate(all.keys),
      }
      const two = sizes.map((size): Contestant => {
        const message = request(size)
        const run = () => workers.run(message, operationsPerRun / size)
        return { name: nameOf(size), kind: 'ours', operations: operationsPerRun, run }
      })
      const others = asynchronous.flatMap((peer): Contestant[] => {
        const run = peer.operations[operation]
        return run === undefined
          ? []
          : [{ ...together(run), name: `${peer.name}, ${inFlight} in flight`, kind: 'peer' }]
      })
      comparisons.push(await compare(titles[operation], [one, ...two, ...others], rounds))
    }
    return comparisons
  } finally {
    await workers.close()
  }
}

/** Wrapping and unwrapping have no batch of their own: the same number of calls in flight on both sides. */
export async function compareInFlight(
  title: string,
  operation: Operation,
  peers: readonly Peer[],
  rounds: number,
): Promise<Comparison> {
  const contestants = peers.flatMap(({ name, kind, before, operations }): Contestant[] => {
    const run = operations[operation]
    if (run === undefined) return []
    return [{ ...together(run), name: `${name}, ${inFlight} in flight`, kind, ...(before && { before }) }]
  })
  return await compare(title, contestants, rounds)
}

function together(run: () => unknown): Pick<Contestant, 'run' | 'operations'> {
  return { operations: inFlight, run: () => Promise.all(Array.from({ length: inFlight }, () => run())) }
}

/** Worker threads that share messages out among themselves: whichever answers gets the next. */
class Pool {
  readonly #workers: readonly Worker[]
  #answered: (worker: Worker, answer: Uint8Array) => void = () => {}
  #failed: (error: unknown) => void = () => {}

  constructor(count: number, workerData: unknown) {
    const script = new URL('./batch-worker.ts', import.meta.url)
    this.#workers = Array.from({ length: count }, () => new Worker(script, { workerData }))
    for (const worker of this.#workers) {
      worker.on('message', (answer: Uint8Array) => this.#answered(worker, answer))
      worker.on('error', (error) => this.#failed(error))
    }
  }

  /** Sends the same request `messages` times and resolves with all answers. */
  run(request: BatchRequest, messages: number): Promise<Uint8Array[]> {
    return new Promise((resolve, reject) => {
      const answers: Uint8Array[] = []
      let sent = 0
      const send = (worker: Worker) => {
        if (sent === messages) return
        sent++
        worker.postMessage(request)
      }
      this.#failed = reject
      this.#answered = (worker, answer) => {
        answers.push(answer)
        if (answers.length === messages) resolve(answers)
        else send(worker)
      }
      for (let i = 0; i < ahead; i++) for (const worker of this.#workers) send(worker)
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}
