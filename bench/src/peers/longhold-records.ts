/** Longhold on either backend: the synchronous path of an encrypted column, context canonicalised for each record. */

import { DataKey } from '../../../packages/core/src/index.ts'
import { testingUseBackend } from '../../../packages/core/src/primitives/backend.ts'
import { checkRecord, recordContext, type RecordPeer } from './record-peer.ts'

export const longholdRecords = {
  native: records('native', 'longhold, node:crypto'),
  portable: records('noble', 'longhold, portable'),
}

function records(backend: 'native' | 'noble', name: string): RecordPeer {
  const before = () => testingUseBackend(backend)
  return {
    name,
    kind: 'ours',
    library: 'longhold',
    before,
    async prepare(plaintext) {
      before()
      const dataKey = DataKey.generate()
      const encrypt = () => dataKey.encrypt(plaintext, { recordContext })
      const record = await checkRecord(name, plaintext, encrypt, (made) =>
        dataKey.decrypt(made, { recordContext }),
      )
      return {
        encrypt,
        decrypt: () => dataKey.decrypt(record, { recordContext }),
        recordBytes: record.length,
      }
    },
  }
}
