import { Command, Option } from '@commander-js/extra-typings'
import { fromText, inspect, LongholdError, toHex } from '@longhold/core'
import type { CensusInfo, KmsClient } from '@longhold/core/kms'

import { usage } from '../shell/errors.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption, needKmsClient } from '../shell/key-service.ts'
import { collect } from '../shell/keys.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, table } from '../shell/text.ts'
import { withProblems } from './problems.ts'

const batchRows = 1000
/** A database in use is waited for. */
const busyTimeoutMs = 10_000

/** `longhold kms census …`: what stores of wrapped keys hold, so that the service knows which versions can go. */
export function kmsCensusCommand(terminal: Terminal) {
  return new Command('census')
    .summary('count the wrapped keys of a store, and tell the key service')
    .description(
      'Tells the key service how many wrapped keys a store holds for each version of a key. A version is safe to destroy ' +
        'only when every consumer has counted lately, and found none.',
    )
    .addCommand(takeCommand(terminal))
    .addCommand(registerCommand(terminal))
    .addCommand(assignCommand(terminal))
    .addCommand(showCommand(terminal))
    .addCommand(removeCommand(terminal))
    .addHelpText('after', examples('longhold kms census take archive users --sqlite users.db'))
}

function takeCommand(terminal: Terminal) {
  return consumerCommand(
    'take',
    'Counts the wrapped keys in a database, by version, and says so; or says what was counted otherwise.',
  )
    .option('--sqlite <database>', 'a database with the table longhold_data_keys')
    .option('--postgres <url>', 'the same on a server: postgres://…')
    .option('--keys-file <file>', 'the wrapped keys beside a file: FILE.keys.ndjson')
    .addOption(
      new Option('--count <version=number>', 'so many wrapped keys of this version (repeatable)').argParser(
        collect,
      ),
    )
    .option('--none', 'no wrapped keys at all')
    .addHelpText(
      'after',
      examples(
        'longhold kms census take archive users --sqlite users.db',
        'longhold kms census take archive users --count 1=0 --count 2=1200',
      ),
    )
    .action(async (key, consumer, options) => {
      const { sqlite, postgres, keysFile } = options
      const given = [sqlite, postgres, keysFile, options.count, options.none].filter(
        (one) => one !== undefined,
      )
      if (given.length !== 1) {
        throw usage('one of --sqlite, --postgres, --keys-file, --count and --none is needed')
      }
      const client = await needKmsClient(terminal, options)
      const counts =
        (sqlite ?? postgres ?? keysFile)
          ? await countStore(terminal, client, key, { sqlite, postgres, keysFile })
          : (options.count ?? []).map(toCount)
      const census = await client.keys.putCensus(key, consumer, counts)
      await terminal.answer({ text: censusTable(census), json: census })
    })
}

function registerCommand(terminal: Terminal) {
  return consumerCommand(
    'register',
    'Registers a consumer that counts later: until then nothing is safe to destroy.',
  )
    .addHelpText('after', examples('longhold kms census register archive users'))
    .action(async (key, consumer, options) => {
      const census = await (await needKmsClient(terminal, options)).keys.putCensus(key, consumer, null)
      await terminal.answer({ text: censusTable(census), json: census })
    })
}

function assignCommand(terminal: Terminal) {
  return consumerCommand('assign', 'Says who speaks for a consumer, instead of whoever registered it.')
    .option('--principal <name>', 'all tokens of this principal')
    .option('--token <id>', 'this token, by its id')
    .addHelpText('after', examples('longhold kms census assign archive users --principal nightly'))
    .action(async (key, consumer, { principal, token, ...options }) => {
      if ((principal === undefined) === (token === undefined)) {
        throw usage('one of --principal and --token is needed')
      }
      const to = principal === undefined ? { token: token ?? '' } : { principal }
      const census = await (await needKmsClient(terminal, options)).keys.assignCensus(key, consumer, to)
      await terminal.answer({ text: censusTable(census), json: census })
    })
}

function showCommand(terminal: Terminal) {
  return consumerCommand('show', 'Shows what a consumer last counted.')
    .addHelpText('after', examples('longhold kms census show archive users'))
    .action(async (key, consumer, options) => {
      const census = await (await needKmsClient(terminal, options)).keys.census(key, consumer)
      await terminal.answer({ text: censusTable(census), json: census })
    })
}

function removeCommand(terminal: Terminal) {
  return consumerCommand('remove', 'Ends a consumer that is no more.')
    .addHelpText('after', examples('longhold kms census remove archive users'))
    .action(async (key, consumer, options) => {
      await (await needKmsClient(terminal, options)).keys.removeCensus(key, consumer)
      await terminal.answer({ text: '', json: { removed: consumer } })
    })
}

function consumerCommand(name: string, description: string) {
  return new Command(name)
    .description(description)
    .argument('<key>', 'the name of the key')
    .argument('<consumer>', 'the name of what holds the wrapped keys')
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
}

interface Store {
  readonly sqlite: string | undefined
  readonly postgres: string | undefined
  readonly keysFile: string | undefined
}

/** @throws CliError when a wrapped key cannot be read: a census that leaves some out would be a false one. */
async function countStore(
  terminal: Terminal,
  client: KmsClient,
  key: string,
  store: Store,
): Promise<{ version: number; wrapped_keys: number }[]> {
  const versions = await client.listVersions(key)
  const byId = new Map(versions.map((one) => [toHex(fromText(one.recipient_id)), one.version]))
  const counts = new Map<number, number>()
  const shown = store.sqlite ?? store.keysFile ?? 'the database'
  await withProblems(async () => {
    for await (const wrappedKey of wrappedKeysOf(terminal, store)) {
      for (const id of recipientIds(wrappedKey, shown)) {
        const version = byId.get(id)
        if (version !== undefined) counts.set(version, (counts.get(version) ?? 0) + 1)
      }
    }
  })
  return [...counts].map(([version, wrapped_keys]) => ({ version, wrapped_keys }))
}

/** Each loads what it needs: no other form of this command does. */
async function* wrappedKeysOf(
  terminal: Terminal,
  { sqlite, postgres, keysFile }: Store,
): AsyncIterable<Uint8Array | string> {
  if (postgres !== undefined) {
    const { wrappedKeysInPostgres } = await import('../sources/postgres-journal.ts')
    for await (const wrappedKey of wrappedKeysInPostgres({ url: postgres, busyTimeoutMs })) {
      terminal.checkStop()
      yield wrappedKey
    }
    return
  }
  if (keysFile !== undefined) {
    const { DataKeyFile } = await import('../sources/data-key-file.ts')
    yield* new DataKeyFile(terminal.path(keysFile), keysFile).wrappedKeys()
    return
  }
  if (sqlite === undefined) return
  const { DataKeyTable } = await import('../sources/data-key-table.ts')
  using keys = new DataKeyTable({ path: terminal.path(sqlite), shown: sqlite, busyTimeoutMs })
  for (let rows = keys.page(batchRows); rows.length > 0; rows = keys.page(batchRows, rows.at(-1))) {
    terminal.checkStop()
    for (const { wrapped_key: wrappedKey } of rows) yield wrappedKey
  }
}

function toCount(text: string): { version: number; wrapped_keys: number } {
  const [, version = '', keys = ''] = /^([1-9]\d{0,8})=(\d{1,14})$/u.exec(text) ?? []
  if (version !== '') return { version: Number(version), wrapped_keys: Number(keys) }
  throw usage(`not a count: ${text}`, { hint: 'say, --count 2=1200 for 1,200 wrapped keys of version 2' })
}

function recipientIds(wrappedKey: Uint8Array | string, path: string): string[] {
  try {
    const bytes = typeof wrappedKey === 'string' ? fromText(wrappedKey) : Uint8Array.from(wrappedKey)
    return inspect(bytes).stanzas.map(({ recipientId }) => recipientId)
  } catch (error) {
    if (!(error instanceof LongholdError)) throw error
    throw usage(`${path} holds a wrapped key that cannot be read: ${error.message}`, {
      hint: 'longhold inspect shows what is wrong with it; nothing was reported',
      cause: error,
    })
  }
}

function censusTable({ consumer, counts, taken_at: takenAt }: CensusInfo): string {
  if (counts === null) return `${consumer} has not counted yet`
  const rows = [
    ['VERSION', 'WRAPPED KEYS'],
    ...counts.map((one) => [String(one.version), count(one.wrapped_keys)]),
  ]
  return `${consumer}, ${takenAt ?? ''}\n${counts.length === 0 ? 'no wrapped keys' : table(rows)}`
}
