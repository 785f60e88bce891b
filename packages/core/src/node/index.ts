/**
 * What Node has beside web streams: its own streams, and files.
 *
 * @module @longhold/core/node
 */

export { decryptFile, encryptFile } from './files.ts'
export type { FileOptions } from './files.ts'
export {
  decryptKeyringTransform,
  decryptRecordTransform,
  decryptTransform,
  encryptKeyringTransform,
  encryptRecordTransform,
  encryptTransform,
} from './transforms.ts'
