/** RSA private operations on so many threads, and nothing else: what no re-encryption can be faster than. */

import type { KeyObject } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

import type { RsaWorkerData } from './rsa-worker.ts'

export interface RsaSpeed {
  readonly perSecond: number
  /** CPU time of one operation. */
  readonly cpuMicroseconds: number
}

export class RsaAlone {
  readonly #workers: readonly Worker[]

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers
  }

  static async start(key: KeyObject, wrappedKeys: readonly Uint8Array[], threads: number): Promise<RsaAlone> {
    const workerData: RsaWorkerData = {
      key,
      wrapped: Uint8Array.from(Buffer.concat(wrappedKeys)),
      wrappedBytes: wrappedKeys[0]?.length ?? 0,
    }
    const script = new URL('./rsa-worker.ts', import.meta.url)
    const alone = new RsaAlone(Array.from({ length: threads }, () => new Worker(script, { workerData })))
    await alone.run(200 * threads)
    return alone
  }

  /** Does `operations`, shared out evenly. */
  async run(operations: number): Promise<RsaSpeed> {
    const used = process.cpuUsage()
    const start = performance.now()
    const share = Math.ceil(operations / this.#workers.length)
    await Promise.all(
      this.#workers.map(async (worker) => {
        worker.postMessage(share)
        await once(worker, 'message') // rejects when the worker fails
      }),
    )
    const done = share * this.#workers.length
    const { user, system } = process.cpuUsage(used)
    return {
      perSecond: done / ((performance.now() - start) / 1000),
      cpuMicroseconds: (user + system) / done,
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.#workers.map((worker) => worker.terminate()))
  }
}
