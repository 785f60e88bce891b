/** The flags of `longhold reencrypt …`; light, because every call of `longhold` reads this file. */

import { InvalidArgumentError, Option } from '@commander-js/extra-typings'

import { collect } from '../shell/keys.ts'
import type { KeyOptions } from '../shell/keys.ts'

/** Which values are meant. */
export interface TargetFlags {
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly id?: string | undefined
  readonly delimiter?: string | undefined
  readonly busyTimeout?: number | undefined
  readonly include?: string[] | undefined
  readonly exclude?: string[] | undefined
  readonly endpoint?: string | undefined
  readonly stateFile?: string | undefined
}

/** How the values were protected, and with what they open. */
export interface LegacyFlags {
  readonly format?: string[] | undefined
  readonly privateKey?: string[] | undefined
  readonly passphraseFile?: string | undefined
  readonly passphraseEnv?: string | undefined
}

export interface PlanFlags extends TargetFlags, LegacyFlags {
  readonly openAll?: true | undefined
  readonly workers?: number | undefined
}

export interface RunFlags extends TargetFlags, LegacyFlags, KeyOptions {
  readonly execute?: true | undefined
  readonly dataset?: string | undefined
  readonly workers?: number | undefined
  readonly batchRows?: number | undefined
  readonly dataKeyRecords?: number | undefined
  readonly dataKeyBytes?: number | undefined
  readonly dataKeyHours?: number | undefined
  readonly checkEvery?: number | undefined
  readonly maxPasses?: number | undefined
  readonly deadLetters?: string | undefined
  readonly context?: string[] | undefined
  /** `--no-xattrs` makes it false. */
  readonly xattrs?: boolean | undefined
  readonly acceptUnauthenticated?: true | undefined
  readonly consumerReady?: true | undefined
  readonly skipTrial?: true | undefined
  /** `--no-originals` makes it false. */
  readonly originals?: boolean | undefined
  readonly maxRowsPerSecond?: number | undefined
  readonly maxBytesPerSecond?: number | undefined
  readonly pauseFile?: string | undefined
  readonly pauseQuery?: string | undefined
  readonly pauseAbove?: number | undefined
  readonly keyringKey?: string | undefined
  readonly queue?: string | undefined
  readonly onlyCoordinate?: true | undefined
  readonly rangeRows?: number | undefined
  readonly takeoverSeconds?: number | undefined
}

export interface FleetWorkerFlags extends RunFlags {
  readonly queue: string
}

/** Of what changes data without private keys. */
export interface ChangeFlags extends TargetFlags {
  readonly execute?: true | undefined
  readonly format?: string[] | undefined
}

export interface FinalizeFlags extends ChangeFlags {
  readonly leaveRemaining?: true | undefined
}

export interface ReportFlags extends TargetFlags, KeyOptions {
  readonly format?: string[] | undefined
  readonly output?: string | undefined
  readonly html?: string | undefined
  readonly sign?: string | undefined
  readonly since?: string | undefined
}

export interface CheckReportFlags {
  readonly publicKey: string
  readonly signature?: string | undefined
}

export interface RetryFlags extends RunFlags {
  readonly from?: string | undefined
}

export interface VerifyFlags extends TargetFlags, KeyOptions {
  readonly context?: string[] | undefined
}

export function tableOption() {
  return new Option('--table <name>', 'the table, in a database')
}

export function columnOption() {
  return new Option(
    '--column <name>',
    'the column with the values; in NDJSON the member (/a/b for one further inside)',
  )
}

export function idOption() {
  return new Option(
    '--id <member>',
    'in NDJSON and CSV: the member or column that names the record, as a primary key names a row',
  )
}

export function delimiterOption() {
  return new Option(
    '--delimiter <character>',
    'what stands between the fields of CSV: one character, or tab (default: a comma, in .tsv a tab)',
  )
}

export function includeOption() {
  return new Option(
    '--include <glob>',
    'in a tree or bucket: only these paths (repeatable; default: all)',
  ).argParser(collect)
}

export function excludeOption() {
  return new Option(
    '--exclude <glob>',
    'in a tree or bucket: leave these paths alone (repeatable)',
  ).argParser(collect)
}

export function endpointOption() {
  return new Option(
    '--endpoint <url>',
    'of a bucket: the store (default: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL)',
  )
}

export function stateFileOption() {
  return new Option(
    '--state-file <file>',
    'of a bucket: the journal of its runs (default: BUCKET.longhold.sqlite)',
  )
}

export function templateOption() {
  return new Option(
    '-c, --context <key=value>',
    'in a tree or bucket: bound to each envelope, with {path} or {bucket} and {key} in it (repeatable; default: path={path})',
  ).argParser(collect)
}

export const defaultBusyTimeoutS = 10

export function busyTimeoutOption() {
  return new Option(
    '--busy-timeout <seconds>',
    `how long to wait for transactions of other processes (default: ${defaultBusyTimeoutS})`,
  ).argParser(wholeNumber(0))
}

export function formatOption() {
  return new Option(
    '--format <name>',
    'jwe, or a layout declared in longhold.yaml (repeatable; default: all of them)',
  ).argParser(collect)
}

export function privateKeyOption() {
  return new Option('--private-key <file>', 'an RSA private key: PEM, DER or JWK (repeatable)').argParser(
    collect,
  )
}

export function passphraseFileOption() {
  return new Option(
    '--passphrase-file <file>',
    'the passphrase of the private keys is the first line of this file',
  )
}

export function passphraseEnvOption() {
  return new Option(
    '--passphrase-env <name>',
    'the passphrase of the private keys is in this environment variable',
  )
}

export function workersOption() {
  return new Option('--workers <n>', 'threads that open the old values (default: one per core)').argParser(
    wholeNumber(1, 256),
  )
}

/** A parser of whole numbers for commander. */
export function wholeNumber(min: number, max: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = /^[0-9]{1,16}$/u.test(text) ? Number(text) : Number.NaN
    if (value >= min && value <= max) return value
    throw new InvalidArgumentError(
      max === Number.MAX_SAFE_INTEGER
        ? `a whole number, at least ${min}`
        : `a whole number from ${min} to ${max}`,
    )
  }
}
