import { Command } from '@commander-js/extra-typings'
import type { Inspection } from '@longhold/core'

import { inspectWhole, openContainer } from '../shell/containers.ts'
import { CliError, refused } from '../shell/errors.ts'
import { inputName, standardStream } from '../shell/files.ts'
import { examples } from '../shell/help.ts'
import type { Terminal } from '../shell/terminal.ts'
import { count, plural, printable, table } from '../shell/text.ts'

interface Finding {
  readonly name: string
  readonly form: 'binary' | 'text'
  readonly inspection: Inspection
}

/** `longhold inspect`: what the bytes say of themselves. Needs no key, and vouches for nothing. */
export function inspectCommand(terminal: Terminal) {
  return new Command('inspect')
    .summary('say what a file is, and for whom, without a key')
    .description(
      'Shows the kind, data key, recipients and sizes of an envelope, a wrapped key or a record, in binary ' +
        'or text form. It reads what the bytes claim: only opening proves any of it.',
    )
    .argument('[files...]', 'what to look at; standard input without it')
    .addHelpText('after', examples('longhold inspect report.lh', 'longhold inspect --json *.lh'))
    .action(async (files) => {
      const findings: Finding[] = []
      const problems: { file: string; error: CliError }[] = []
      const paths = files.length === 0 ? [standardStream] : files
      for (const path of paths) {
        terminal.checkStop()
        try {
          findings.push(await look(terminal, path))
        } catch (error) {
          if (!(error instanceof CliError) || paths.length === 1) throw error
          problems.push({ file: inputName(path), error })
        }
      }
      await terminal.answer({
        text: findings.map(describe).join('\n\n'),
        json: {
          files: [
            ...findings.map(toJson),
            ...problems.map(({ file, error }) => ({
              file,
              error: { code: error.code, message: error.message },
            })),
          ],
        },
      })
      if (problems.length === 0) return
      for (const { error } of problems) terminal.warn(error.message, error.hint)
      throw refused(
        `${count(problems.length)} of ${plural(paths.length, 'file')} could not be read as longhold data`,
      )
    })
}

async function look(terminal: Terminal, path: string): Promise<Finding> {
  await using container = await openContainer(terminal, path)
  const { name, form } = container
  return { name, form, inspection: await inspectWhole(container) }
}

function describe({ name, form, inspection: seen }: Finding): string {
  const rows = [
    ['  kind', `${seen.kind}, version ${seen.version}, ${form} form`],
    ['  data key', seen.keyId],
  ]
  if (seen.kind !== 'record') rows.push(['  recipients', String(seen.stanzas.length)])
  seen.stanzas.forEach(({ suite, kemId, recipientId, bytes }, index) => {
    const suiteName = suite ?? `unknown suite, KEM 0x${kemId.toString(16).padStart(4, '0')}`
    rows.push([`    ${index + 1}`, `${recipientId}  ${suiteName}, ${plural(bytes, 'byte')}`])
  })
  rows.push([
    '  size',
    `${plural(seen.totalBytes, 'byte')}: header ${count(seen.headerBytes)}, body ${count(seen.bodyBytes)}`,
  ])
  if (seen.plaintextBytes !== undefined) rows.push(['  plaintext', plural(seen.plaintextBytes, 'byte')])
  return `${printable(name)}\n${table(rows)}`
}

function toJson({ name, form, inspection: seen }: Finding) {
  return {
    file: name,
    form,
    kind: seen.kind,
    version: seen.version,
    key_id: seen.keyId,
    stanzas: seen.stanzas.map((stanza) => ({
      suite: stanza.suite ?? null,
      kem_id: stanza.kemId,
      kdf_id: stanza.kdfId,
      aead_id: stanza.aeadId,
      recipient_id: stanza.recipientId,
      bytes: stanza.bytes,
    })),
    header_bytes: seen.headerBytes,
    body_bytes: seen.bodyBytes,
    plaintext_bytes: seen.plaintextBytes ?? null,
    total_bytes: seen.totalBytes,
  }
}
