/**
 * A private key that stays elsewhere, in a hardware module or behind a service: a program of the operator's unwraps.
 * One JSON text a line, requests on its standard input, answers on its standard output:
 *
 *     its first line   {"protocol":"longhold-private-key/1","public_key":"…","certificates":["…"]}
 *     a request        {"id":1,"algorithm":"RSA-OAEP","hash":"sha256","mgf1_hash":"sha256","label":"","wrapped":"…"}
 *                      {"id":2,"algorithm":"RSA1_5","wrapped":"…"}
 *     an answer        {"id":1,"unwrapped":"…"}, {"id":1,"failed":true}, or {"id":1,"unavailable":"a text for people"}
 *
 * Bytes are base64 with padding, the public key and certificates DER. The program ends when its input does.
 */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'

import type { OaepParameters } from '../formats/legacy-format.ts'

export const keyCommandProtocol = 'longhold-private-key/1'

/** What is asked of the program. */
export type UnwrapRequest =
  | ({ readonly algorithm: 'RSA-OAEP'; readonly wrapped: Uint8Array } & OaepParameters)
  | { readonly algorithm: 'RSA1_5'; readonly wrapped: Uint8Array }

export interface KeyCommandFacts {
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  readonly certificates: readonly Uint8Array[]
}

/** The program cannot do what it is for; the message is for people. */
export class KeyCommandError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'KeyCommandError'
  }
}

interface Waiting {
  readonly resolve: (unwrapped: Uint8Array | undefined) => void
  readonly reject: (error: Error) => void
}

/** The program at work. */
export class KeyCommand {
  /** @throws KeyCommandError when it is awaited and the program does not begin as it must. */
  readonly facts: Promise<KeyCommandFacts>
  readonly #child: ChildProcess
  readonly #name: string
  readonly #waiting = new Map<number, Waiting>()
  #failure: KeyCommandError | undefined
  #nextId = 1

  /** @param command The program and its arguments: no shell is asked. */
  constructor([program = '', ...args]: readonly string[]) {
    this.#name = program
    this.#child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    // Its end is told by `exit`; a write after it is no second failure.
    this.#child.stdin?.on('error', () => {})
    this.facts = new Promise((resolve, reject) => {
      this.#listen(resolve, reject)
    })
    // Whoever only asks for the end does not ask for the facts.
    this.facts.catch(() => {})
  }

  /**
   * @returns Undefined when the bytes do not unwrap.
   * @throws KeyCommandError
   */
  async unwrap(request: UnwrapRequest): Promise<Uint8Array | undefined> {
    await this.facts
    if (this.#failure !== undefined) throw this.#failure
    const id = this.#nextId++
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#child.stdin?.write(`${JSON.stringify({ id, ...toJson(request) })}\n`)
    })
  }

  /** Ends its input. */
  close(): void {
    this.#fail('was closed')
    this.#child.stdin?.end()
  }

  #listen(resolve: (facts: KeyCommandFacts) => void, reject: (error: Error) => void): void {
    const { stdout } = this.#child
    if (stdout === null) throw new Error('a child without its output')
    let isFirst = true
    createInterface({ input: stdout }).on('line', (line) => {
      try {
        if (isFirst) resolve(factsOf(line))
        else this.#answer(line)
        isFirst = false
      } catch (error) {
        reject(this.#fail(error instanceof KeyCommandError ? error.message : 'answered what is no answer'))
        this.#child.kill()
      }
    })
    const end = (why: string): void => reject(this.#fail(why))
    this.#child.on('error', (error) =>
      end('code' in error ? `did not start: ${String(error.code)}` : 'did not start'),
    )
    this.#child.on('exit', (code, signal) => end(`ended with ${signal ?? String(code)}`))
  }

  #answer(line: string): void {
    const { id, unwrapped, failed, unavailable } = JSON.parse(line) as Record<string, unknown>
    const waiting = typeof id === 'number' ? this.#waiting.get(id) : undefined
    if (typeof id !== 'number' || waiting === undefined)
      throw new KeyCommandError('answered what nobody asked')
    this.#waiting.delete(id)
    if (typeof unwrapped === 'string') waiting.resolve(bytesOf(unwrapped))
    else if (failed === true) waiting.resolve(undefined)
    else if (typeof unavailable === 'string') waiting.reject(this.#error(`says ${oneLine(unavailable)}`))
    else waiting.reject(this.#error('answered what is no answer'))
  }

  #fail(why: string): KeyCommandError {
    this.#failure ??= this.#error(why)
    for (const { reject } of this.#waiting.values()) reject(this.#failure)
    this.#waiting.clear()
    return this.#failure
  }

  #error(why: string): KeyCommandError {
    return new KeyCommandError(`the private key command ${this.#name} ${why}`)
  }
}

function factsOf(line: string): KeyCommandFacts {
  const facts = JSON.parse(line) as Record<string, unknown>
  const { protocol, public_key: publicKey, certificates = [] } = facts
  if (protocol !== keyCommandProtocol) throw new KeyCommandError(`does not speak ${keyCommandProtocol}`)
  if (typeof publicKey !== 'string' || !Array.isArray(certificates))
    throw new KeyCommandError('does not say its public key')
  return { publicKey: bytesOf(publicKey), certificates: certificates.map((one) => bytesOf(String(one))) }
}

function toJson(request: UnwrapRequest): object {
  const { algorithm } = request
  const wrapped = Buffer.from(request.wrapped).toString('base64')
  if (algorithm === 'RSA1_5') return { algorithm, wrapped }
  const { hash, mgf1Hash, label } = request
  return { algorithm, hash, mgf1_hash: mgf1Hash, label: Buffer.from(label).toString('base64'), wrapped }
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'))
}

/** What a program says goes to a terminal. */
function oneLine(text: string): string {
  return text.replaceAll(/[^\x20-\x7e]+/gu, ' ').slice(0, 200)
}
