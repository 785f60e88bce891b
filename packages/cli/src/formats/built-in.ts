/**
 * The formats that are read without a layout of one's own: a new one is a file in this folder and a row here. Loaded
 * when they are needed, since some bring a library.
 */

import type { z } from 'zod'

import {
  awsSettings,
  contextColumns,
  labelColumns,
  s3Settings,
  sealedSecretsSettings,
  springSettings,
} from './built-in-settings.ts'
import type { LegacyFormat } from './legacy-format.ts'
import type { LegacyStreamFormat } from './legacy-stream.ts'
import { openPgpSettings } from './openpgp-settings.ts'
import { withStreamWitness, withWitness, witnessSettings } from './witness.ts'

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
  /** True: with these settings a program of the person's opens the values, with keys of its own. Absent: no. */
  hasOwnKeys?(settings: unknown): boolean
  /**
   * The columns that it reads beside the value's own. Those of `own` are part of a value: they become NULL when it is
   * replaced. Absent: none.
   */
  columns?(settings: unknown): { readonly own: readonly string[]; readonly read: readonly string[] }
  /**
   * @param settings As the schema leaves them, plain data; undefined without any.
   * @param columns Of a row's cells, in their order, the value to be replaced first.
   */
  load(settings: unknown, columns: readonly string[]): Promise<LegacyFormat>
  /** The same for whole objects of any size. Absent: only values that fit into memory are read. */
  loadStream?(settings?: unknown): Promise<LegacyStreamFormat>
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
    settings: witnessSettings,
    load: async (settings) => withWitness((await import('./cms.ts')).cms, settings),
    loadStream: async (settings) =>
      withStreamWitness((await import('./cms-stream.ts')).cmsStreamFormat(), settings),
  },
  eyaml: {
    summary: 'hiera-eyaml, ENC[PKCS7,…] as a whole value',
    foreignReader: 'Puppet',
    settings: witnessSettings,
    load: async (settings) => withWitness((await import('./eyaml.ts')).eyaml, settings),
  },
  age: {
    summary: 'age files with an ssh-rsa or X25519 recipient, binary and armored',
    foreignReader: undefined,
    settings: undefined,
    load: async () => (await import('./age.ts')).age,
    loadStream: async () => (await import('./age.ts')).ageStream,
  },
  'aws-encryption-sdk': {
    summary: 'AWS Encryption SDK, messages of raw RSA keyrings, as bytes or base64',
    foreignReader: undefined,
    settings: awsSettings,
    columns: (settings) => ({ own: [], read: contextColumns(awsSettings.parse(settings ?? {})) }),
    load: async (settings, columns) =>
      (await import('./aws.ts')).awsFormat(awsSettings.parse(settings ?? {}), columns),
    loadStream: async (settings) =>
      (await import('./aws-stream.ts')).awsStreamFormat(awsSettings.parse(settings ?? {})),
  },
  s3: {
    summary: 'S3 client-side encryption, versions 1 to 3: objects, or bodies beside their metadata',
    foreignReader: 'the S3 encryption clients',
    settings: s3Settings,
    columns(settings) {
      const { metadata, instructions } = s3Settings.parse(settings ?? {})
      return { own: [], read: [metadata, instructions].filter((column) => column !== undefined) }
    },
    async load(settings, columns) {
      const { witness, ...known } = s3Settings.parse(settings ?? {})
      return withWitness((await import('./s3.ts')).s3Format(known, columns), { witness })
    },
    async loadStream(settings) {
      const { witness, ...known } = s3Settings.parse(settings ?? {})
      return withStreamWitness((await import('./s3.ts')).s3StreamFormat(known), { witness })
    },
  },
  openpgp: {
    summary: 'OpenPGP messages for RSA keys, binary and armored: files of gpg, columns of pgcrypto',
    foreignReader: undefined,
    settings: openPgpSettings,
    hasOwnKeys: (settings) => openPgpSettings.parse(settings ?? {}).program !== undefined,
    async load(settings) {
      const { program, home, witness } = openPgpSettings.parse(settings ?? {})
      const gpg = program === undefined ? undefined : { program, home }
      return withWitness((await import('./openpgp.ts')).openPgpFormat(gpg), { witness })
    },
    async loadStream(settings) {
      const { program, home } = openPgpSettings.parse(settings ?? {})
      const gpg = program === undefined ? undefined : { program, home }
      return (await import('./openpgp-stream.ts')).openPgpStreamFormat(gpg)
    },
  },
  'sealed-secrets': {
    summary: 'Sealed Secrets of Kubernetes: whole manifests, and single values of encryptedData',
    foreignReader: 'the Sealed Secrets controller',
    settings: sealedSecretsSettings,
    columns: (settings) => ({
      own: [],
      read: settings === undefined ? [] : labelColumns(sealedSecretsSettings.parse(settings)),
    }),
    async load(settings, columns) {
      const known = settings === undefined ? undefined : sealedSecretsSettings.parse(settings)
      return (await import('./sealed-secrets.ts')).sealedSecretsFormat(known, columns)
    },
  },
  spring: {
    summary: 'Spring Cloud Config, {cipher}… with an RSA key, as a whole value',
    foreignReader: 'Spring Cloud Config',
    settings: springSettings,
    async load(settings) {
      const { witness, ...known } = springSettings.parse(settings ?? {})
      return withWitness((await import('./spring.ts')).springFormat(known), { witness })
    },
  },
} as const satisfies Readonly<Record<string, BuiltInFormat>>

/** As flags and configuration name it. */
export type BuiltInName = keyof typeof builtInFormats

export function isBuiltIn(name: string): name is BuiltInName {
  return Object.hasOwn(builtInFormats, name)
}
