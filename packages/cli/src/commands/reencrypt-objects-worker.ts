/** A worker thread over objects: everything it needs comes with its start, then one message in and one out for each. */

import { parentPort, workerData } from 'node:worker_threads'

import { KeyCommandError } from '../legacy-keys/key-command.ts'
import { PrivateKeySet } from '../legacy-keys/private-key-set.ts'
import type { ObjectRequest, ObjectResponse } from '../reencrypt/object-pool.ts'
import { workOn } from '../reencrypt/object-transform.ts'
import type { ObjectAnswer } from '../reencrypt/object-transform.ts'
import { dressObject, objectOpener } from '../sources/object-open.ts'
import { makeObjectFormats } from './reencrypt-object-formats.ts'
import type { ObjectWorkerSettings } from './reencrypt-object-formats.ts'

// Only commands start this file, with settings of this type.
const { formats, privateKeys, isConsumerReady, withExtended, connection, ...rest } =
  workerData as ObjectWorkerSettings
const settings = {
  ...rest,
  formats: await makeObjectFormats(formats, isConsumerReady),
  keys: new PrivateKeySet(privateKeys),
  open: objectOpener(connection),
  dress: dressObject(withExtended),
}

parentPort?.on('message', (request: ObjectRequest) => void answer(request))

async function answer({ id, task }: ObjectRequest): Promise<void> {
  const response: ObjectResponse = await workOn(settings, task).then(
    (done) => ({ id, answer: done }),
    (error: unknown) =>
      error instanceof KeyCommandError ? { id, answer: unreachable(error) } : { id, error },
  )
  // A worker thread has no origin to name.
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort?.postMessage(response)
}

/** What a key that is elsewhere says: the run stops, and goes on when it is asked again. */
function unreachable({ message }: KeyCommandError): ObjectAnswer {
  return { kind: 'stopped', as: 'stopped', message, hint: undefined }
}
