/**
 * What Node has beside web streams: its own streams, and files.
 *
 * @module @longhold/core/node
 */

export { decryptFile, encryptFile } from './files.ts'
export type { FileOptions } from './files.ts'
export {
  decryptRecordTransform,
  decryptTransform,
  encryptRecordTransform,
  encryptTransform,
} from './transforms.ts'
