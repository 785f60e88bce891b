/** The one way from a command to the world: answers on standard output, everything else on standard error. */

import { resolve } from 'node:path'
import type { Readable, Writable } from 'node:stream'

import { codeOf, fileError, OutputClosed, stopped } from './errors.ts'
import type { ExitCode } from './errors.ts'
import { printable } from './text.ts'

/** What a process has. Tests hand in their own; `main.ts` hands in the real one. */
export interface Io {
  readonly stdin: Readable & { isTTY?: boolean }
  readonly stdout: Writable & { isTTY?: boolean; columns?: number; rows?: number }
  readonly stderr: Writable & { isTTY?: boolean; columns?: number; rows?: number }
  readonly env: Readonly<Record<string, string | undefined>>
  /** Relative paths start here. */
  readonly cwd: string
  /** Aborted by the first SIGINT or SIGTERM. */
  readonly signal: AbortSignal
  /** The terminal itself, for secrets; undefined when there is none. */
  readonly openTty?: () => Tty | undefined
}

/** The terminal itself, whatever standard input and output are connected with. */
export interface Tty {
  readonly input: Readable & { setRawMode(on: boolean): unknown }
  write(text: string): void
  close(): void
}

/** An answer in both its forms. An empty text prints nothing. */
export interface Answer {
  readonly text: string
  readonly json: unknown
}

export interface TerminalSettings {
  /** Answers and errors as one line of JSON. */
  readonly json: boolean
  /** `--config`, as given. */
  readonly configPath: string | undefined
}

export interface TerminalError {
  readonly code: string
  readonly exitCode: ExitCode
  readonly message: string
  readonly hint?: string | undefined
}

/** Standard error is text for people, or with `--json` one line of JSON for each thing said. */
export class Terminal {
  readonly io: Io
  #settings: TerminalSettings

  constructor(io: Io, settings: TerminalSettings) {
    this.io = io
    this.#settings = settings
  }

  get json(): boolean {
    return this.#settings.json
  }

  get configPath(): string | undefined {
    return this.#settings.configPath
  }

  get signal(): AbortSignal {
    return this.io.signal
  }

  /** Called once, when the flags have been read. */
  configure(settings: TerminalSettings): void {
    this.#settings = settings
  }

  /** A path from the command line, absolute. */
  path(path: string): string {
    return resolve(this.io.cwd, path)
  }

  async answer({ text, json }: Answer): Promise<void> {
    if (this.json) await this.write(`${JSON.stringify(json)}\n`)
    else if (text !== '') await this.write(`${text}\n`)
  }

  /**
   * Bytes for standard output; resolves when they are handed over.
   *
   * @throws OutputClosed when the reader went away.
   */
  async write(bytes: Uint8Array | string): Promise<void> {
    await new Promise<void>((done, fail) => {
      this.io.stdout.write(bytes, (error) => {
        if (error === null || error === undefined) done()
        else if (codeOf(error) === 'EPIPE') fail(new OutputClosed('standard output was closed'))
        else fail(fileError(error, 'standard output', 'write'))
      })
    })
  }

  /** Something worth knowing that is not the answer. */
  note(text: string): void {
    this.#say('', text)
  }

  warn(text: string, hint?: string): void {
    this.#say('warning', text, hint)
  }

  hint(text: string): void {
    this.#say('hint', text)
  }

  /** For `run` alone: commands throw. */
  error({ code, message, hint, exitCode }: TerminalError): void {
    if (this.json) this.#line({ error: { code, message, hint, exit_code: exitCode } })
    else this.#say('error', message, hint)
  }

  /** @throws CliError with exit code 4 once the command has been interrupted. Call it between steps. */
  checkStop(): void {
    if (this.signal.aborted) throw stopped('interrupted', { hint: 'run the same command again to go on' })
  }

  // Names of files are other people's text: control characters in them must not reach the terminal.
  #say(kind: '' | 'error' | 'hint' | 'warning', message: string, hint?: string): void {
    if (this.json) return this.#line({ [kind === '' ? 'note' : kind]: { message, hint } })
    const start = kind === '' ? '' : `${kind}: `
    for (const line of message.split('\n')) this.io.stderr.write(`longhold: ${start}${printable(line)}\n`)
    if (hint !== undefined) this.#say('hint', hint)
  }

  #line(value: unknown): void {
    this.io.stderr.write(`${JSON.stringify(value)}\n`)
  }
}
