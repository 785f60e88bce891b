/** `longhold.yaml`: what the flags say, written down once. Read into a frozen value. */

import { readFile } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'

import { settingNames } from '@longhold/kms/config'
import type { Document } from 'yaml'

import { codeOf, fileError, usage } from './errors.ts'
import type { Terminal } from './terminal.ts'
import { closest } from './text.ts'

export const configFileName = 'longhold.yaml'

export interface Config {
  /** The file as a person would name it, undefined when there is none. */
  readonly path: string | undefined
  readonly recipient: readonly string[]
  readonly recipientsFile: readonly string[]
  readonly identity: readonly string[]
  readonly passphraseFile: string | undefined
  readonly kmsUrl: string | undefined
  readonly kmsTokenFile: string | undefined
  /** PEM of those who may vouch for the key service; undefined: those of the platform. */
  readonly kmsCaFile: string | undefined
  readonly kmsAllowClassical: boolean
  readonly kms: {
    readonly dataDir: string | undefined
    /** All of the section, as the key service reads it. */
    readonly entries: Readonly<Record<string, unknown>>
  }
  /** The whole path of the file, where there is one. */
  readonly file: string | undefined
  /** The section of the same name, unchecked: `reencrypt` knows what belongs there. */
  readonly reencrypt: unknown
  /** A path written in the file, absolute: relative ones start at the file's directory. */
  resolve(path: string): string
}

const entries = [
  'recipient',
  'recipients-file',
  'identity',
  'passphrase-file',
  'kms-url',
  'kms-token-file',
  'kms-ca-file',
  'kms-allow-classical',
  'kms',
  'reencrypt',
]

const loaded = new WeakMap<Terminal, Promise<Config>>()

/**
 * The configuration of this call, read once: `--config`, else `LONGHOLD_CONFIG`, else `longhold.yaml` in the working directory if it is there.
 *
 * @throws CliError with exit code 2 when the file cannot be read, is not YAML, or says something unknown.
 */
export async function loadConfig(terminal: Terminal): Promise<Config> {
  const config = loaded.get(terminal) ?? readConfig(terminal)
  loaded.set(terminal, config)
  return await config
}

async function readConfig(terminal: Terminal): Promise<Config> {
  const named = terminal.configPath ?? terminal.io.env['LONGHOLD_CONFIG']
  const path = terminal.path(named ?? configFileName)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (named === undefined && codeOf(error) === 'ENOENT') return emptyConfig(terminal)
    throw fileError(error, named ?? configFileName, 'read')
  }
  return parseConfig(text, path, relative(terminal.io.cwd, path))
}

function emptyConfig(terminal: Terminal): Config {
  return Object.freeze({
    path: undefined,
    recipient: [],
    recipientsFile: [],
    identity: [],
    passphraseFile: undefined,
    kmsUrl: undefined,
    kmsTokenFile: undefined,
    kmsCaFile: undefined,
    kmsAllowClassical: false,
    kms: { dataDir: undefined, entries: {} },
    file: undefined,
    reencrypt: undefined,
    resolve: (path: string) => terminal.path(path),
  })
}

async function parseConfig(text: string, path: string, shown: string): Promise<Config> {
  const [{ parseDocument }, { z }] = await Promise.all([import('yaml'), import('zod')])
  const document = parseDocument(text, { strict: true, uniqueKeys: true, prettyErrors: true })
  const [problem] = document.errors
  if (problem !== undefined) {
    const [first = ''] = problem.message.split('\n')
    throw usage(`${shown} is not YAML: ${first.replace(/:$/u, '')}`, {
      hint: 'docs/cli.md shows a whole file',
    })
  }
  const value = toPlain(document, shown)

  const list = z.union([z.string().transform((one) => [one]), z.array(z.string())]).default([])
  // Their values are for the key service to judge, when it is started.
  const others = Object.fromEntries(settingNames.map((name) => [name, z.unknown().optional()]))
  const schema = z.strictObject({
    recipient: list,
    'recipients-file': list,
    identity: list,
    'passphrase-file': z.string().optional(),
    'kms-url': z.string().optional(),
    'kms-token-file': z.string().optional(),
    'kms-ca-file': z.string().optional(),
    'kms-allow-classical': z.boolean().default(false),
    kms: z.strictObject({ ...others, 'data-dir': z.string().optional() }).default({}),
    reencrypt: z.unknown().optional(),
  })
  const result = schema.safeParse(value)
  if (!result.success) throw invalid(result.error.issues[0], shown)

  const { data } = result
  const directory = dirname(path)
  const absolute = (one: string): string => resolve(directory, one)
  const optional = (one: string | undefined): string | undefined =>
    one === undefined ? undefined : absolute(one)
  return Object.freeze({
    path: shown,
    recipient: data.recipient,
    recipientsFile: data['recipients-file'].map(absolute),
    identity: data.identity.map(absolute),
    passphraseFile: optional(data['passphrase-file']),
    kmsUrl: data['kms-url'],
    kmsTokenFile: optional(data['kms-token-file']),
    kmsCaFile: optional(data['kms-ca-file']),
    kmsAllowClassical: data['kms-allow-classical'],
    kms: { dataDir: optional(data.kms['data-dir']), entries: data.kms },
    file: path,
    reencrypt: data.reencrypt,
    resolve: absolute,
  })
}

/** Anchors are not needed here, and a few lines of them can stand for gigabytes. */
function toPlain(document: Document, shown: string): unknown {
  try {
    return document.toJS({ maxAliasCount: 0 }) ?? {}
  } catch (error) {
    throw usage(`${shown}: anchors and aliases are not allowed`, { cause: error })
  }
}

interface Issue {
  readonly code: string
  readonly path: readonly PropertyKey[]
  readonly message: string
  readonly keys?: readonly string[]
}

function invalid(issue: Issue | undefined, shown: string): Error {
  const where = issue?.path.map(String).join('.') ?? ''
  const [unknown] = issue?.keys ?? []
  if (unknown === undefined) {
    const what = where === '' ? 'it must be a list of entries' : `${where} has the wrong type`
    return usage(`${shown}: ${what}`, { hint: 'docs/cli.md shows a whole file' })
  }
  const meant = closest(unknown, where === 'kms' ? settingNames : entries)
  return usage(`${shown}: unknown entry ${where === '' ? '' : `${where}.`}${unknown}`, {
    hint: meant === undefined ? 'docs/cli.md lists the entries' : `did you mean ${meant}?`,
  })
}
