/**
 * The formats that are read without a layout of one's own: a new one is a file in this folder and a row here. Loaded
 * when they are needed, since some bring a library.
 */

import type { z } from 'zod'

import type { LegacyFormat } from './legacy-format.ts'
import type { LegacyStreamFormat } from './legacy-stream.ts'

/** What there is to say of a format before it is loaded. */
export interface BuiltInFormat {
  /** For help texts and guides: whose values these are. */
  readonly summary: string
  /**
   * Who else reads such values, say `the Sealed Secrets controller`, and would find a record: values are replaced only
   * when somebody says that this reader is ready.
   */
  readonly foreignReader: string | undefined
  /** What `longhold.yaml` may say of it beside `type`; undefined: nothing. */
  readonly settings: z.ZodType | undefined
  /**
   * @param settings As the schema leaves them, plain data; undefined without any.
   * @param columns Of a row's cells, in their order, the value to be replaced first.
   */
  load(settings: unknown, columns: readonly string[]): Promise<LegacyFormat>
  /** The same for whole objects of any size. Absent: only values that fit into memory are read. */
  loadStream?(): Promise<LegacyStreamFormat>
}

/** In the order in which a value is shown to them. */
export const builtInFormats = {
  jwe: {
    summary: 'JSON Web Encryption, compact and JSON',
    foreignReader: undefined,
    settings: undefined,
    load: async () => (await import('./jwe.ts')).jwe,
  },
  cms: {
    summary: 'CMS, also called PKCS #7: enveloped data as DER, PEM, S/MIME or base64',
    foreignReader: undefined,
    settings: undefined,
    load: async () => (await import('./cms.ts')).cms,
    loadStream: async () => (await import('./cms-stream.ts')).cmsStreamFormat(),
  },
  eyaml: {
    summary: 'hiera-eyaml, ENC[PKCS7,…] as a whole value',
    foreignReader: 'Puppet',
    settings: undefined,
    load: async () => (await import('./eyaml.ts')).eyaml,
  },
} as const satisfies Readonly<Record<string, BuiltInFormat>>

/** As flags and configuration name it. */
export type BuiltInName = keyof typeof builtInFormats

export function isBuiltIn(name: string): name is BuiltInName {
  return Object.hasOwn(builtInFormats, name)
}
