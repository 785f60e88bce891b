/**
 * All there is to configure, once: a row is an option `--name`, an entry `name` of the configuration file and a variable
 * `LONGHOLD_KMS_NAME`. The first of the three that is given counts.
 */

import { address, count, directory, duration, onOff, oneOf, path, pathOrNone, text } from './kinds.ts'
import type { Kind } from './kinds.ts'

/** The commands that take settings. */
export const commands = ['init', 'serve', 'verify-audit', 'accept-rollback', 'doctor', 'restore'] as const
/** One of `commands`. */
export type Command = (typeof commands)[number]

/** One setting: what its values are, who takes it, and what help says of it. */
export interface Setting<T> {
  readonly kind: Kind<T>
  /** Whose option it is; in the file and the environment the others may meet it too. */
  readonly commands: readonly Command[]
  readonly help: string
}

const all = commands
const serving = ['serve', 'doctor'] as const

/** All there are, by the name of the option. A variable and an entry of the file have the same name in their own spelling. */
export const settings = {
  'data-dir': setting(directory, all, 'the database and, unless said otherwise, the files below'),
  database: setting(
    text,
    all,
    'postgres://…, the password in PGPASSWORD or ~/.pgpass; default SQLite, kms.db in the data directory',
  ),
  'key-file': setting(
    path,
    all,
    'the key file that opens the root key; default root.key in the data directory',
  ),
  'token-file': setting(
    path,
    ['init', 'doctor', 'restore'],
    'where the first token goes; default admin.token there',
  ),
  anchor: setting(
    pathOrNone,
    ['init', 'serve', 'accept-rollback', 'doctor', 'restore'],
    'the file that tells an older database, or none; default anchor.json there',
  ),
  'checkpoint-folder': setting(
    directory,
    ['serve', 'verify-audit', 'doctor'],
    'where each checkpoint is copied to: on another machine, say a mount',
  ),
  'checkpoint-every': setting(
    duration(10_000, 7 * 24 * 60 * 60_000),
    serving,
    'while something changes; default 60m',
  ),
  'audit-retention': setting(
    duration(86_400_000, 36_500 * 86_400_000),
    serving,
    'how old entries of the audit log must be before they can be pruned; default: never',
  ),
  'backup-recipients': setting(
    path,
    serving,
    'a file with who can open backups, lhrecipient1-… one a line; the service opens none',
  ),
  'backup-folder': setting(directory, serving, 'where the service writes backups itself: on another machine'),
  'backup-every': setting(duration(60_000, 30 * 86_400_000), serving, 'how often it does; default 1d'),
  'backup-expires': setting(
    duration(86_400_000, 3650 * 86_400_000),
    serving,
    'how long a backup is kept, wherever it is; default 90d',
  ),
  'join-checkpoint': setting(
    path,
    serving,
    'for a node without an anchor: a checkpoint, or a folder of them, that the database must not be older than',
  ),
  'join-fingerprint': setting(text, serving, 'of the service that signed it, as init printed it'),
  epochs: setting(
    text,
    ['accept-rollback', 'restore'],
    'what is accepted: the epochs that the command names without it, as in 41:57; any: whatever they are',
  ),
  'first-key': setting(text, ['init'], 'the name of a key to begin with'),
  production: setting(onOff, ['init'], 'two slots before the first key, and a first token for one use'),
  'single-slot': setting(onOff, ['init'], 'in production too, one slot is meant'),

  listen: setting(address, serving, 'default 127.0.0.1:8420; port 0: any that is free'),
  'plain-http-anywhere': setting(onOff, serving, 'plain HTTP beyond this machine: behind a TLS proxy only'),
  'tls-cert': setting(path, serving, 'PEM: the certificate, then those that vouch for it; turns TLS on'),
  'tls-key': setting(path, serving, 'PEM: the private key of the certificate, mode 0600'),
  'tls-require-pq': setting(onOff, serving, 'refuse clients without X25519MLKEM768'),
  'metrics-listen': setting(address, serving, 'serve /metrics here, plain HTTP; default: nowhere'),

  'admin-socket': setting(
    pathOrNone,
    ['init', 'serve', 'accept-rollback', 'doctor'],
    'where unsealing is served, or none; default admin.sock there',
  ),
  'unseal-anywhere': setting(onOff, serving, 'serve unsealing beyond the admin socket too'),
  'await-init': setting(onOff, serving, 'where there is no service yet, wait for init on the admin socket'),
  'seal-url': setting(text, serving, 'another key service that holds a slot'),
  'seal-token-file': setting(path, serving, 'a token for it'),
  'seal-key': setting(text, serving, 'the key there'),

  'headers-timeout': setting(duration(1000, 60_000), serving, 'for the headers of a request; default 10s'),
  'request-timeout': setting(duration(1000, 300_000), serving, 'for a whole request; default 30s'),
  'idle-timeout': setting(duration(1000, 600_000), serving, 'without a byte either way; default 60s'),
  'max-connections': setting(count(1, 100_000), serving, 'at a time; default 10000'),
  'requests-per-second': setting(count(1, 1_000_000), serving, 'of one token, steadily; default 5000'),
  'body-memory': setting(
    count(32, 65_536),
    serving,
    'MiB that the bodies of all requests under way may take, half of it those of one token; default 64',
  ),
  'drain-delay': setting(
    duration(0, 300_000),
    serving,
    'say draining so long before the end begins; default 0s',
  ),
  'drain-timeout': setting(duration(0, 300_000), serving, 'for answers under way at the end; default 10s'),
  log: setting(oneOf('info', 'error', 'silent'), serving, 'JSON lines on stderr; default info'),
} as const satisfies Readonly<Record<string, Setting<unknown>>>

/** One of `settings`. */
export type SettingName = keyof typeof settings
/** The names of `settings`, in their order. */
export const settingNames = Object.keys(settings) as readonly SettingName[]

type ValueOf<S> = S extends Setting<infer T> ? T : never

/** What is given, by name; nothing is there by default. */
export type Values = { readonly [N in SettingName]?: ValueOf<(typeof settings)[N]> }

export function variableOf(name: SettingName): string {
  return `LONGHOLD_KMS_${name.replaceAll('-', '_').toUpperCase()}`
}

/** Whether there is a setting of that name. Never throws. */
export function isSettingName(name: string): name is SettingName {
  return Object.hasOwn(settings, name)
}

function setting<T>(kind: Kind<T>, of: readonly Command[], help: string): Setting<T> {
  return { kind, commands: of, help }
}
