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
  readonly acceptUnauthenticated?: true | undefined
  readonly skipTrial?: true | undefined
  /** `--no-originals` makes it false. */
  readonly originals?: boolean | undefined
  readonly maxRowsPerSecond?: number | undefined
  readonly maxBytesPerSecond?: number | undefined
  readonly pauseFile?: string | undefined
  readonly pauseQuery?: string | undefined
  readonly pauseAbove?: number | undefined
  readonly keyringKey?: string | undefined
}

/** Of what changes data without private keys. */
export interface ChangeFlags extends TargetFlags {
  readonly execute?: true | undefined
  readonly format?: string[] | undefined
}

export interface FinalizeFlags extends ChangeFlags {
  readonly leaveRemaining?: true | undefined
}

export interface RetryFlags extends RunFlags {
  readonly from?: string | undefined
}

export interface VerifyFlags extends TargetFlags, KeyOptions {}

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
