/** Trees and buckets: which one is meant, how it is opened, and what is said of runs on it. */

import { stat } from 'node:fs/promises'
import { extname } from 'node:path'

import { canonicalContext, LongholdError } from '@longhold/core'

import { loadConfig } from '../shell/config.ts'
import type { Config } from '../shell/config.ts'
import { refused, usage } from '../shell/errors.ts'
import { parseContext } from '../shell/keys.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, table } from '../shell/text.ts'
import type { ObjectReader, ObjectSource } from '../sources/object-source.ts'
import type { RunState } from '../sources/run-state.ts'
import { openBucket } from '../sources/s3-bucket.ts'
import { readBucket } from '../sources/s3-reader.ts'
import type { BucketConnection } from '../sources/s3-signature.ts'
import { openTree, readTree } from '../sources/tree.ts'
import { withProblems } from './problems.ts'
import { bucketAddress, connectionTo } from './reencrypt-bucket.ts'
import type { BucketAddress } from './reencrypt-bucket.ts'
import { parseReencryptConfig } from './reencrypt-config.ts'
import type { ReencryptConfig } from './reencrypt-config.ts'
import type { TargetFlags } from './reencrypt-flags.ts'

export interface ObjectTargetSettings {
  /** Of a bucket. */
  readonly bucket:
    | (BucketAddress & { readonly connection: BucketConnection; readonly stateFile: string })
    | undefined
  /** Absolute, of a tree. */
  readonly path: string
  /** As the person named it. */
  readonly shown: string
  readonly include: readonly string[]
  readonly exclude: readonly string[]
  /** Where longhold.yaml wants the dead letters, absolute. */
  readonly deadLetters: string | undefined
  readonly config: ReencryptConfig
}

/** Undefined for targets of rows. @throws CliError (exit 2) for flags that mean nothing with objects. */
export async function resolveObjects(
  terminal: Terminal,
  target: string | undefined,
  flags: TargetFlags & { readonly context?: string[] | undefined },
): Promise<ObjectTargetSettings | undefined> {
  const whole = await loadConfig(terminal)
  const config = parseReencryptConfig(whole)
  const shown = target ?? config.target
  if (shown === undefined) return undefined
  const address = bucketAddress(shown)
  if (address !== undefined) {
    checkNoRowFlags(shown, flags)
    const connection = await connectionTo(terminal, address, flags.endpoint ?? config.endpoint)
    const inConfig = config['state-file']
    const stateFile =
      flags.stateFile === undefined && inConfig !== undefined
        ? whole.resolve(inConfig)
        : terminal.path(flags.stateFile ?? `${address.bucket}.longhold.sqlite`)
    return {
      ...settingsOf(shown, flags, whole, config),
      path: '',
      bucket: { ...address, connection, stateFile },
    }
  }
  const path = target === undefined ? whole.resolve(shown) : terminal.path(shown)
  const isDirectory = await stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  )
  if (!isDirectory) {
    checkRowFlags(shown, flags)
    return undefined
  }
  checkNoRowFlags(shown, flags)
  return { ...settingsOf(shown, flags, whole, config), path, bucket: undefined }
}

function settingsOf(shown: string, flags: TargetFlags, whole: Config, config: ReencryptConfig) {
  const letters = config['dead-letters']
  return {
    shown,
    include: flags.include ?? config.include,
    exclude: flags.exclude ?? config.exclude,
    deadLetters: letters === undefined ? undefined : whole.resolve(letters),
    config,
  }
}

function checkRowFlags(
  shown: string,
  flags: TargetFlags & { readonly context?: string[] | undefined },
): void {
  for (const [name, value] of Object.entries(objectFlags(flags))) {
    if (value !== undefined) {
      throw usage(`${shown} is no directory and no bucket, so --${name} means nothing`, {
        hint: 'leave it out',
      })
    }
  }
}

function objectFlags({
  include,
  exclude,
  context,
  endpoint,
  stateFile,
}: TargetFlags & { readonly context?: string[] | undefined }) {
  return { include, exclude, context, endpoint, 'state-file': stateFile }
}

function checkNoRowFlags(shown: string, flags: TargetFlags): void {
  for (const name of ['table', 'column', 'id', 'delimiter'] as const) {
    if (flags[name] !== undefined) {
      throw usage(`${shown} holds objects, so --${name} means nothing`, { hint: 'leave it out' })
    }
  }
}

/** To look at. */
export function openObjectReader(target: ObjectTargetSettings): ObjectReader {
  return target.bucket === undefined ? readTree(target) : readBucket({ ...target, ...target.bucket })
}

/** To work on: holds the target's lock until it is closed. */
export function openObjectSource(target: ObjectTargetSettings): ObjectSource {
  return target.bucket === undefined ? openTree(target) : openBucket({ ...target, ...target.bucket })
}

/** Beside this file, in the form this file runs in: source or compiled. */
export function objectWorkerUrl(): URL {
  return new URL(`./reencrypt-objects-worker${extname(import.meta.url)}`, import.meta.url)
}

/** What is bound to each envelope, with names in braces for what differs. */
export type ContextTemplate = Readonly<Record<string, string>>

/** @throws CliError (exit 2) for a name in braces that the target does not have. */
export function contextTemplate(
  reader: ObjectReader,
  { config }: ObjectTargetSettings,
  pairs: readonly string[] | undefined,
): ContextTemplate | undefined {
  const template = pairs === undefined ? config.context : parseContext(pairs)
  if (template === undefined) return undefined
  const known = Object.keys(reader.names(''))
  for (const [, name = ''] of Object.values(template)
    .join(' ')
    .matchAll(/\{([^{}]*)\}/gu)) {
    if (known.includes(name)) continue
    throw usage(`--context: there is no {${name}} here`, {
      hint: `there is ${known.map((one) => `{${one}}`).join(', ')}`,
    })
  }
  try {
    canonicalContext(template)
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    throw usage(`context: ${error.message}`, { hint: error.hint, cause: error })
  }
  return template
}

/** Each name of its own, as it is. */
export function defaultTemplate(reader: ObjectReader): ContextTemplate {
  return Object.fromEntries(Object.keys(reader.names('')).map((name) => [name, `{${name}}`]))
}

export function contextIn(reader: ObjectReader, template: ContextTemplate) {
  return (object: string): Record<string, string> => {
    const names = reader.names(object)
    const pairs = Object.entries(template).map(([key, text]) => [
      key,
      text.replaceAll(/\{([^{}]*)\}/gu, (whole, name: string) => names[name] ?? whole),
    ])
    return Object.fromEntries(pairs) as Record<string, string> // pairs of texts
  }
}

/** Of the run, as it was begun. */
export function templateOf({ dataset }: RunState): ContextTemplate {
  return JSON.parse(dataset) as ContextTemplate // written by runObjects
}

/** Found is the sum of the four lines under it, as the last pass met them. */
export function objectRunRows({
  counts,
  pass,
  conflicts,
  unauthenticated,
  bytesBefore,
  bytesAfter,
}: RunState): string[][] {
  const rows = [
    ['found', count(counts.found)],
    ['  migrated', count(counts.earlier + counts.migrated)],
    ['  already longhold', count(counts.already)],
    ['  dead letters', count(counts.dead)],
    ['  conflicts', count(counts.conflict)],
    ['left alone', `${count(counts.empty)}: of no named format, links, devices`],
    ['passes', count(pass)],
    ['changed meanwhile', `${count(conflicts)} by somebody else between reading and replacing: read again`],
    ['bytes', `${count(bytesBefore)} before, ${count(bytesAfter)} after`],
  ]
  if (unauthenticated > 0) rows.push(['unauthenticated', `${count(unauthenticated)} taken as they were`])
  return rows
}

export function objectRunJson(state: RunState) {
  const { counts } = state
  return {
    run_id: state.runId,
    status: state.status,
    context: templateOf(state),
    passes: state.pass,
    found: counts.found,
    migrated: counts.earlier + counts.migrated,
    already: counts.already,
    dead: counts.dead,
    conflict: counts.conflict,
    left_alone: counts.empty,
    replaced_all_passes: state.migrated,
    conflicts_all_passes: state.conflicts,
    unauthenticated_all_passes: state.unauthenticated,
    bytes_before: state.bytesBefore,
    bytes_after: state.bytesAfter,
    started_at: state.startedAt,
    updated_at: state.updatedAt,
    finished_at: state.finishedAt ?? null,
  }
}

/** `longhold reencrypt status`. */
export async function showObjectStatus(terminal: Terminal, target: ObjectTargetSettings): Promise<void> {
  await withProblems(async () => {
    const reader = openObjectReader(target)
    try {
      const state = reader.latestRun()
      if (state === undefined) {
        throw refused(`no run has begun on ${reader.target.name}`, {
          hint: 'longhold reencrypt plan is the first step',
        })
      }
      const isAtWork = reader.isLocked()
      const now = state.status !== 'running' ? state.status : isAtWork ? 'running' : 'broken off'
      await terminal.answer({
        text: table([
          ['target', reader.target.name],
          ['run', state.runId],
          ['now', now === 'broken off' ? 'broken off: the same run command goes on' : now],
          ...objectRunRows(state),
          ['started', state.startedAt],
          ['last commit', state.updatedAt],
        ]),
        json: { target: reader.target.name, ...objectRunJson(state), at_work: isAtWork },
      })
    } finally {
      await reader.close()
    }
  })
}
