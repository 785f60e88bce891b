/** Where a command's bytes go: a file by --output, else standard output. */

import { Option } from '@commander-js/extra-typings'

import { usage } from './errors.ts'
import { standardStream } from './files.ts'
import { tidyAfter } from './memory.ts'
import { checkOutput, OutputFile } from './output-file.ts'
import type { Terminal } from './terminal.ts'

export interface OutputOptions {
  readonly output?: string | undefined
  readonly force?: true | undefined
}

export function outputOption() {
  return new Option(
    '-o, --output <file>',
    'write to this file; - is standard output, even if it is a terminal',
  )
}

export function forceOption() {
  return new Option('-f, --force', 'replace the output file if it exists')
}

/** The file that `--output` names; undefined when the bytes go to standard output. */
export function outputFile({ output }: OutputOptions): string | undefined {
  return output === standardStream ? undefined : output
}

/** Refuses an output that could not be written or should not be, before any work is done. */
export async function prepareOutput(terminal: Terminal, options: OutputOptions): Promise<void> {
  const file = outputFile(options)
  if (file !== undefined) {
    await checkOutput(terminal, file, options.force === true)
  } else if (terminal.json) {
    throw usage('--json needs --output FILE, since the data itself would be on standard output', {
      hint: 'add --output FILE, or leave --json out',
    })
  }
}

/** True when bytes would land on a screen without anybody having asked for that. */
export function wouldHitScreen(terminal: Terminal, { output }: OutputOptions): boolean {
  return output === undefined && terminal.io.stdout.isTTY === true
}

/** Where bytes go in pieces. On standard output they are out at once, in a file with `commit`. */
export interface Sink extends AsyncDisposable {
  /** As many bytes as are worth one write: fewer wait for the next ones. */
  readonly runBytes: number
  write(...pieces: readonly Uint8Array[]): Promise<void>
  /** To be called with pieces that were written and that nobody else needs. */
  forget(...pieces: readonly Uint8Array[]): void
  commit(): Promise<void>
}

/** @param mode Permission bits of a new file, before the umask. */
export async function openSink(terminal: Terminal, options: OutputOptions, mode: number): Promise<Sink> {
  const path = outputFile(options)
  if (path !== undefined) {
    return await OutputFile.create(terminal, path, { overwrite: options.force === true, mode })
  }
  return {
    runBytes: 1, // somebody may be waiting for it
    write: async (...pieces) => {
      for (const piece of pieces) await terminal.write(piece)
    },
    // Whoever reads them may hold them still.
    forget: (...pieces) => {
      for (const piece of pieces) tidyAfter(piece.length)
    },
    commit: async () => {},
    [Symbol.asyncDispose]: async () => {},
  }
}

/**
 * Pours pieces that nobody else needs into a sink: while some are written the next ones are made.
 *
 * @param see Shown each piece, whose memory is gone once it was written: what it keeps is to be a copy.
 */
export async function pour(
  pieces: AsyncIterable<Uint8Array>,
  sink: Sink,
  see: (piece: Uint8Array) => void,
): Promise<void> {
  let writing = Promise.resolve()
  let run: Uint8Array[] = []
  let runBytes = 0
  for await (const piece of pieces) {
    see(piece)
    run.push(piece)
    runBytes += piece.length
    if (runBytes < sink.runBytes) continue
    await writing
    writing = write(run)
    writing.catch(() => {}) // it is awaited in its turn, perhaps after it failed
    ;[run, runBytes] = [[], 0]
  }
  await writing
  await write(run)
  await sink.commit()

  async function write(these: readonly Uint8Array[]): Promise<void> {
    await sink.write(...these)
    sink.forget(...these)
  }
}

export async function sendOutput(
  terminal: Terminal,
  options: OutputOptions,
  text: string,
  mode: number,
): Promise<void> {
  terminal.checkStop()
  await using sink = await openSink(terminal, options, mode)
  await sink.write(Buffer.from(text))
  await sink.commit()
}
