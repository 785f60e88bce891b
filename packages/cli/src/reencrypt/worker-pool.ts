/** Worker threads that transform batches. RSA is the bottleneck: it must keep every core busy. */

import { Worker } from 'node:worker_threads'

import { Problem } from '../sources/problem.ts'
import type { Batch, BatchResult, Transformer } from './transform.ts'

/** What a worker is asked and answers: one message each way for a batch. */
export interface WorkerRequest {
  readonly batch: Batch
}

export type WorkerResponse =
  | { readonly result: BatchResult }
  /** What a key that is elsewhere says: the run stops, and goes on when it is asked again. */
  | { readonly unreachable: string }
  | { readonly error: unknown }

interface Waiting {
  readonly resolve: (result: BatchResult) => void
  readonly reject: (error: unknown) => void
}

interface Member {
  readonly worker: Worker
  /** Answers come in the order of the requests. */
  readonly waiting: Waiting[]
}

/** Batches on their way to a worker that is busy, so that it never waits for the main thread. */
const depth = 2
/**
 * Each value makes a dozen small buffers outside the heap, which are given back when their handles are collected: a small
 * young generation is collected often.
 */
const resourceLimits = { maxYoungGenerationSizeMb: 4 }

export class WorkerPool implements Transformer {
  readonly width: number
  readonly #members: Member[]
  #failure: unknown

  /**
   * @param url The worker's file; it answers each `WorkerRequest` with one `WorkerResponse`.
   * @param settings Its `workerData`.
   */
  constructor(url: URL, settings: object, workers: number) {
    this.width = workers * depth
    this.#members = Array.from({ length: workers }, () => {
      const worker = new Worker(url, { workerData: settings, resourceLimits })
      const member: Member = { worker, waiting: [] }
      worker.on('message', (response: WorkerResponse) => {
        const waiting = member.waiting.shift()
        if ('result' in response) waiting?.resolve(response.result)
        else if ('unreachable' in response) waiting?.reject(new Problem('stopped', response.unreachable))
        else waiting?.reject(response.error)
      })
      worker.on('error', (error) => this.#fail(error))
      worker.on('exit', () => this.#fail(new Error('a worker thread ended unexpectedly')))
      return member
    })
  }

  transform(batch: Batch): Promise<BatchResult> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure)
      const member = this.#members.reduce((best, other) =>
        other.waiting.length < best.waiting.length ? other : best,
      )
      member.waiting.push({ resolve, reject })
      const request: WorkerRequest = { batch }
      // A worker thread has no origin to name.
      // oxlint-disable-next-line unicorn/require-post-message-target-origin
      member.worker.postMessage(request)
    })
  }

  async close(): Promise<void> {
    this.#failure ??= new Error('the worker threads have been stopped')
    await Promise.all(this.#members.map(({ worker }) => worker.terminate()))
  }

  #fail(error: unknown): void {
    this.#failure ??= error
    for (const { waiting } of this.#members) {
      for (const { reject } of waiting.splice(0)) reject(this.#failure)
    }
  }
}
