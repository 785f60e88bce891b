/** Runs commands in this process, each in a directory of its own, and keeps what they printed. */

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable, Writable } from 'node:stream'

import { run } from '../../src/run.ts'

export interface CliResult {
  readonly code: number
  readonly stdout: string
  readonly stdoutBytes: Uint8Array
  readonly stderr: string
}

export interface CliInput {
  readonly stdin?: Uint8Array | string | Readable
  readonly env?: Record<string, string>
  readonly signal?: AbortSignal
  /** Which streams are terminals. */
  readonly tty?: readonly ('stdin' | 'stdout' | 'stderr')[]
  readonly stdout?: Writable
  /** What a person types at the terminal when asked; `tty.shown` is what they saw there. */
  readonly typed?: Typed
}

export class Workspace implements Disposable {
  readonly path: string

  constructor() {
    this.path = mkdtempSync(join(tmpdir(), 'longhold-cli-'))
  }

  file(name: string): string {
    return join(this.path, name)
  }

  write(name: string, content: Uint8Array | string): string {
    writeFileSync(this.file(name), content)
    return name
  }

  read(name: string): string {
    return readFileSync(this.file(name), 'utf8')
  }

  bytes(name: string): Uint8Array {
    return Uint8Array.from(readFileSync(this.file(name)))
  }

  /** The names in this directory, sorted. */
  list(): string[] {
    return readdirSync(this.path).toSorted()
  }

  /** `longhold ARGV…` in this directory. */
  async cli(argv: readonly string[], input: CliInput = {}): Promise<CliResult> {
    const stdin = input.stdin ?? ''
    const stdout = new Sink()
    const stderr = new Sink()
    const code = await run(argv, {
      stdin: mark(
        typeof stdin === 'object' && 'pipe' in stdin ? stdin : once(stdin),
        input.tty?.includes('stdin'),
      ),
      stdout: mark(input.stdout ?? stdout, input.tty?.includes('stdout')),
      stderr: mark(stderr, input.tty?.includes('stderr')),
      env: input.env ?? {},
      cwd: this.path,
      signal: input.signal ?? new AbortController().signal,
      ...(input.typed === undefined ? {} : { openTty: () => input.typed }),
    })
    return {
      code,
      stdout: Buffer.from(stdout.bytes).toString(),
      stdoutBytes: stdout.bytes,
      stderr: Buffer.from(stderr.bytes).toString(),
    }
  }

  /** The same, for steps that are not what a test is about: anything but success is an error. */
  async ok(argv: readonly string[], input?: CliInput): Promise<CliResult> {
    const result = await this.cli(argv, input)
    if (result.code !== 0)
      throw new Error(`longhold ${argv.join(' ')} ended with ${result.code}:\n${result.stderr}`)
    return result
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** A terminal with somebody at it, who answers each question with the next of some lines. */
export class Typed {
  readonly input = Object.assign(new PassThrough(), {
    setRawMode: (on: boolean) => void (this.#echoes = !on),
  })
  shown = ''
  readonly #answers: string[]
  #echoes = true

  constructor(...answers: readonly string[]) {
    this.#answers = [...answers]
  }

  write(text: string): void {
    this.shown += text
    const answer = text.endsWith(': ') ? this.#answers.shift() : undefined
    if (answer === undefined) return
    if (this.#echoes) this.shown += answer
    this.input.write(answer)
  }

  close(): void {
    if (!this.#echoes) this.shown += '[no echo]'
    this.input.destroy()
  }
}

function once(content: Uint8Array | string): Readable {
  return Readable.from([Buffer.from(content)], { objectMode: false })
}

function mark<T extends object>(stream: T, isTTY = false): T & { isTTY: boolean } {
  return Object.assign(stream, { isTTY })
}

class Sink extends Writable {
  readonly #chunks: Buffer[] = []

  get bytes(): Uint8Array {
    return Uint8Array.from(Buffer.concat(this.#chunks))
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.#chunks.push(chunk)
    done()
  }
}
