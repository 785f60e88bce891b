/** The main thread's side of a reader beside it (`beside-thread.ts`), which adds up rows while others are answered. */

import { Worker } from 'node:worker_threads'

import { ServiceError } from '../../service/errors.ts'
import type { BesideReader, HeadRow, RowSpan, RowTotal } from '../../service/key-store.ts'
import type { RowMacs } from '../../service/row-mac.ts'
import { storageUnavailable } from './connection.ts'

/** What the thread begins with. */
export interface BesideOptions {
  readonly path: string
  readonly busyTimeoutMs: number
  readonly clusterId: Uint8Array
  /** Of the rows' MACs; the thread wipes it. */
  readonly key: Uint8Array
}

export type BesideRequest = RowSpan | 'close'

/** Its head, first of all; then one answer for each span. */
export type BesideReply =
  | { readonly head: HeadRow }
  | { readonly total: RowTotal }
  /** A ServiceError in parts: classes do not cross threads. */
  | { readonly failure: Pick<ServiceError, 'code' | 'message' | 'hint'> }

/** @throws ServiceError `storage_unavailable`, `integrity_violation`. */
export async function openBeside(
  options: Pick<BesideOptions, 'path' | 'busyTimeoutMs'>,
  macs: RowMacs,
): Promise<BesideReader> {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = macs.lendKey((key) => {
    const workerData: BesideOptions = { ...options, clusterId: macs.clusterId, key }
    return new Worker(new URL(`./beside-thread.${extension}`, import.meta.url), { workerData })
  })
  const next = async (): Promise<BesideReply> =>
    await new Promise((resolve, reject) => {
      const ended = (): void => reject(storageUnavailable('the thread that verifies it has ended'))
      worker.once('exit', ended)
      worker.once('message', (reply: BesideReply) => {
        worker.off('exit', ended)
        resolve(reply)
      })
    })
  // 'exit' follows.
  worker.on('error', () => undefined)
  let isBusy = true
  const ended = new Promise<void>((resolve) => worker.once('exit', () => resolve()))
  const close = async (): Promise<void> => {
    // One that adds up does not hear anything.
    if (isBusy) await worker.terminate()
    else worker.postMessage('close' satisfies BesideRequest, [])
    await ended
  }
  try {
    const first = checked(await next())
    if (!('head' in first)) throw storageUnavailable('the thread that verifies it is out of step')
    isBusy = false
    return {
      head: first.head,
      async sum(span: RowSpan) {
        isBusy = true
        worker.postMessage(span satisfies BesideRequest, [])
        const reply = checked(await next())
        isBusy = false
        if (!('total' in reply)) throw storageUnavailable('the thread that verifies it is out of step')
        return reply.total
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function checked(reply: BesideReply): Exclude<BesideReply, { failure: unknown }> {
  if (!('failure' in reply)) return reply
  const { code, message, hint } = reply.failure
  throw new ServiceError(code, message, hint === undefined ? {} : { hint })
}
