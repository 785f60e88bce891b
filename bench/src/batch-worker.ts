/** One worker thread of batches.ts: takes batches of encapsulated keys or counts, gives back the results in one buffer. */

import { parentPort, workerData } from 'node:worker_threads'

import { makeBatchJobs, type BatchRequest } from './batch-jobs.ts'

if (parentPort === null) throw new Error('batch-worker.ts runs as a worker thread')
const port = parentPort
const jobs = makeBatchJobs(workerData as Parameters<typeof makeBatchJobs>[0]) // what batches.ts passes

port.on('message', (request: BatchRequest) => {
  const result =
    request.operation === 'encapsulate' ? jobs.encapsulate(request.count) : jobs.decapsulate(request.keys)
  port.postMessage(result, [result.buffer])
})
