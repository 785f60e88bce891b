/** What `longhold.yaml` may say of the formats that take settings. Apart from them, since formats are loaded when needed. */

import { z } from 'zod'

import { witnessSettings } from './witness.ts'

const column = z.strictObject({ column: z.string() })

export const awsSettings = z.strictObject({
  /** How the raw RSA keyring was set up. Default: all are tried, which the header's tag makes safe. */
  padding: z.enum(['oaep-sha256', 'oaep-sha1', 'oaep-sha384', 'oaep-sha512', 'pkcs1']).optional(),
  /** Pairs that the encryption context must hold, as texts or out of columns. */
  context: z.record(z.string(), z.union([z.string(), column])).default({}),
})
export type AwsSettings = z.infer<typeof awsSettings>

export function contextColumns({ context }: AwsSettings): string[] {
  return Object.values(context).flatMap((value) => (typeof value === 'string' ? [] : [value.column]))
}

export const s3Settings = witnessSettings.extend({
  /** The column that holds an object's metadata as a JSON object. Whole objects bring theirs. */
  metadata: z.string().optional(),
  /** The column that holds the content of the instruction file, where there is one. */
  instructions: z.string().optional(),
  /** The name in the material description whose value names the private key. */
  'key-id': z.string().optional(),
})
export type S3Settings = z.infer<typeof s3Settings>

const textOrColumn = z.union([z.string(), column])

/** Of single values; a whole manifest says it all itself. */
export const sealedSecretsSettings = z.union([
  z.strictObject({ scope: z.literal('cluster-wide') }),
  z.strictObject({ scope: z.literal('namespace-wide'), namespace: textOrColumn }),
  z.strictObject({ scope: z.literal('strict'), namespace: textOrColumn, name: textOrColumn }),
])
export type SealedSecretsSettings = z.infer<typeof sealedSecretsSettings>

export function labelColumns(settings: SealedSecretsSettings): string[] {
  const parts = ['namespace' in settings ? settings.namespace : '', 'name' in settings ? settings.name : '']
  return parts.flatMap((part) => (typeof part === 'string' ? [] : [part.column]))
}

export const springSettings = witnessSettings.extend({
  /** `encrypt.rsa.algorithm` */
  algorithm: z.enum(['default', 'oaep']).default('default'),
  /** `encrypt.rsa.strong` */
  strong: z.boolean().default(false),
  /** `encrypt.rsa.salt`: hexadecimal, else text. */
  salt: z.string().min(1).default('deadbeef'),
})
export type SpringSettings = z.infer<typeof springSettings>
