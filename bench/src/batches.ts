/**
 * Batches over two worker threads beside the same batches in this thread: what a service gains from a second core,
 * and how large a message must be for it.
 */

import { Worker } from 'node:worker_threads'

import { makeBatchJobs, type BatchRequest } from './batch-jobs.ts'
import { measure } from './harness.ts'
import { expectBytes, type Inputs } from './peers/peer.ts'
import { pairedRatio, summarise } from './statistics.ts'
import type { Summary } from './statistics.ts'
import { formatMicroseconds, formatPerSecond, formatRatio, print, printTable } from './table.ts'

export interface BatchResult {
  readonly operation: 'encapsulate' | 'decapsulate'
  readonly perMessage: number
  /** Microseconds for one operation. */
  readonly oneThread: Summary
  readonly twoWorkers: Summary
  readonly speedUp: Summary
}

const sizes = [1, 8, 32, 128]
/** Messages that a worker has before it answers: one in work, one waiting. */
const ahead = 2
const operationsPerRun = 256

export async function measureBatches(inputs: Inputs, rounds: number): Promise<BatchResult[]> {
  const { seed, publicKey, encapsulatedKey, sharedSecret } = inputs
  const here = makeBatchJobs({ seed, publicKey })
  const workers = new Pool(2, { seed, publicKey })
  try {
    const [first] = await workers.run({ operation: 'decapsulate', keys: encapsulatedKey }, 1)
    expectBytes(first, sharedSecret, 'a worker decapsulates')

    const results: BatchResult[] = []
    for (const operation of ['encapsulate', 'decapsulate'] as const) {
      for (const perMessage of sizes) {
        const keys = Uint8Array.from(Buffer.concat(Array.from({ length: perMessage }, () => encapsulatedKey)))
        const request: BatchRequest =
          operation === 'encapsulate' ? { operation, count: perMessage } : { operation, keys }
        const messages = operationsPerRun / perMessage
        const [one, two] = await measure(
          [
            {
              name: 'one thread',
              run: () => {
                for (let i = 0; i < messages; i++) {
                  if (operation === 'encapsulate') here.encapsulate(perMessage)
                  else here.decapsulate(keys)
                }
              },
            },
            { name: 'two workers', run: () => workers.run(request, messages) },
          ],
          { rounds, samples: 3, sampleMs: 15 },
        )
        if (one === undefined || two === undefined) throw new Error('two series were asked for')
        const perOperation = (values: readonly number[]) =>
          summarise(values.map((value) => value / operationsPerRun))
        results.push({
          operation,
          perMessage,
          oneThread: perOperation(one.rounds),
          twoWorkers: perOperation(two.rounds),
          speedUp: pairedRatio(one.rounds, two.rounds),
        })
      }
    }
    return results
  } finally {
    await workers.close()
  }
}

export function printBatches(results: readonly BatchResult[]): void {
  print('\nBatches over two worker threads, longhold on node:crypto')
  printTable(
    ['', 'in a message', 'one thread µs', 'two workers µs', 'per second', 'speed-up', 'middle half'],
    results.map(({ operation, perMessage, oneThread, twoWorkers, speedUp }) => [
      operation,
      String(perMessage),
      formatMicroseconds(oneThread.median),
      formatMicroseconds(twoWorkers.median),
      formatPerSecond(twoWorkers.median),
      formatRatio(speedUp.median),
      `${speedUp.q1.toFixed(2)}–${speedUp.q3.toFixed(2)}`,
    ]),
  )
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
