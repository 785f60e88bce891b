import { Command } from '@commander-js/extra-typings'
import { LongholdError, toHex } from '@longhold/core'
import type { Identity, Inspection } from '@longhold/core'

import { heldBytes, openContainer } from '../shell/containers.ts'
import type { Container } from '../shell/containers.ts'
import { CliError, refused, stopped, usage } from '../shell/errors.ts'
import { inputName, standardStream } from '../shell/files.ts'
import { examples } from '../shell/help.ts'
import { kmsTokenFileOption, kmsUrlOption } from '../shell/key-service.ts'
import { contextOption, identityOption, parseContext, resolveIdentities } from '../shell/keys.ts'
import type { NamedIdentity } from '../shell/keys.ts'
import { tidyAfter } from '../shell/memory.ts'
import { passphraseFileOption } from '../shell/passphrase.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, table } from '../shell/text.ts'
import { ByteProgress } from './byte-progress.ts'
import { openEnvelope, openWrappedKey } from './opening.ts'

/** Whether one identity opens one file, and why not. */
interface Verdict {
  readonly identity: string
  readonly recipientId: string | undefined
  readonly opens: boolean
  readonly code: string | undefined
  readonly why: string
}

interface FileVerdict {
  readonly file: string
  readonly kind: Inspection['kind'] | undefined
  readonly opens: boolean
  readonly verdicts: readonly Verdict[]
}

/** `longhold can-open`: which of my identities opens what. Reads only. */
export function canOpenCommand(terminal: Terminal) {
  return new Command('can-open')
    .summary('say which of your identities opens which file')
    .description(
      'Tries every identity on every file by itself, and writes nothing. A wrapped key counts as opened when ' +
        'its data key comes out, an envelope when all of its data does. Exit code 1 when there is a file that ' +
        'none of the identities opens.',
    )
    .argument('[files...]', 'what to try; standard input without it')
    .addOption(identityOption())
    .addOption(passphraseFileOption())
    .addOption(contextOption())
    .addOption(kmsUrlOption())
    .addOption(kmsTokenFileOption())
    .addHelpText('after', examples('longhold can-open --identity mine.txt --identity break-glass.txt *.lh'))
    .action(async (files, options) => {
      const context = parseContext(options.context)
      const identities = await resolveIdentities(terminal, options)
      const results: FileVerdict[] = []
      for (const path of files.length === 0 ? [standardStream] : files) {
        terminal.checkStop()
        results.push(await tryFile(terminal, path, identities, context))
      }
      await terminal.answer({ text: toTable(results), json: { files: results.map(toJson) } })
      finish(results)
    })
}

async function tryFile(
  terminal: Terminal,
  path: string,
  identities: readonly NamedIdentity[],
  context: Record<string, string>,
): Promise<FileVerdict> {
  const file = inputName(path)
  try {
    await using container = await openContainer(terminal, path, { hold: heldBytes })
    const { kind, source } = container
    if (source === undefined && identities.length > 1) {
      throw usage(`${file} is longer than 64 MiB and can be read only once, for one identity`, {
        hint: 'give a file, or one identity at a time',
      })
    }
    if (kind === 'record') {
      const why = 'a record: its data key is kept elsewhere, try the file with its wrapped key'
      return { file, kind, opens: false, verdicts: [nobody(why, 'refused')] }
    }
    const verdicts: Verdict[] = []
    for (const named of identities) verdicts.push(await tryIdentity(terminal, container, named, context))
    return { file, kind, opens: verdicts.some(({ opens }) => opens), verdicts }
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    terminal.checkStop()
    return {
      file,
      kind: undefined,
      opens: false,
      verdicts: [nobody(withoutName(error.message, file), error.code)],
    }
  }
}

/** The file has a column of its own. */
function withoutName(message: string, file: string): string {
  return message.startsWith(file) ? message.slice(file.length).replace(/^:? /u, '') : message
}

function nobody(why: string, code: string): Verdict {
  return { identity: '-', recipientId: undefined, opens: false, code, why }
}

async function tryIdentity(
  terminal: Terminal,
  container: Container,
  { name, identity, local }: NamedIdentity,
  context: Record<string, string>,
): Promise<Verdict> {
  const about = { identity: name, recipientId: local === undefined ? undefined : toHex(local.recipientId) }
  try {
    if (container.kind === 'envelope') await goThrough(terminal, container, identity, context)
    else (await openWrappedKey(container, [identity], context)).wipe()
    return { ...about, opens: true, code: undefined, why: '' }
  } catch (error) {
    if (!(error instanceof CliError) || !(error.cause instanceof LongholdError)) throw error
    return { ...about, opens: false, code: error.cause.code, why: reason(error.cause) }
  }
}

async function goThrough(
  terminal: Terminal,
  container: Container,
  identity: Identity,
  context: Record<string, string>,
): Promise<void> {
  using plaintext = await openEnvelope(container, [identity], context)
  using progress = new ByteProgress(terminal, plaintext.name, plaintext.size)
  for await (const piece of plaintext.pieces()) {
    progress.add(piece.length)
    tidyAfter(piece.length)
  }
}

function reason(error: LongholdError): string {
  if (error.code === 'not_a_recipient') return 'not a recipient'
  if (error.code === 'cannot_open') return 'cannot open: another context, or altered bytes'
  return error.message
}

function toTable(results: readonly FileVerdict[]): string {
  const rows = [['FILE', 'IDENTITY', 'OPENS', 'WHY NOT']]
  for (const { file, verdicts } of results) {
    for (const { identity, recipientId, opens, why } of verdicts) {
      const short = recipientId === undefined ? identity : `${identity} (${recipientId.slice(0, 8)})`
      rows.push([file, short, opens ? 'yes' : 'no', why])
    }
  }
  return table(rows)
}

function toJson({ file, kind, opens, verdicts }: FileVerdict) {
  return {
    file,
    kind: kind ?? null,
    opens,
    identities: verdicts.map((verdict) => ({
      identity: verdict.identity,
      recipient_id: verdict.recipientId ?? null,
      opens: verdict.opens,
      code: verdict.code ?? null,
      why: verdict.why === '' ? null : verdict.why,
    })),
  }
}

function finish(results: readonly FileVerdict[]): void {
  const closed = results.filter(({ opens }) => !opens)
  if (closed.length === 0) return
  const message = `${count(closed.length)} of ${plural(results.length, 'file')} cannot be opened`
  // Where the key service could not be asked, the answer may be another one next time.
  if (closed.some(({ verdicts }) => verdicts.some(({ code }) => code === 'unavailable'))) {
    throw stopped(`${message}, and a key service could not be asked`, { hint: 'run the same command again' })
  }
  throw refused(message, { hint: 'longhold inspect FILE lists the recipients of a file' })
}
