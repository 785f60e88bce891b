/** A service in a directory of its own, and what a test asks it and looks up behind its back. */

import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { KmsClient } from '@longhold/core/kms'
import { initService, startService } from '@longhold/kms'
import Database from 'better-sqlite3'

import type { KeyHolder } from '../src/keys.ts'
import { start } from '../src/server.ts'
import type { RunningServer } from '../src/server.ts'

export const ada = {
  name: 'Ada Example',
  insuranceNumber: 'K123 456-789',
  born: '1985-12-10',
  diagnoses: ['hypertension', 'pollen allergy'],
}
export const normalNumber = 'K123456789'

/** A service of the test, and what is on its disk. */
export class TestService implements AsyncDisposable {
  readonly directory: string
  readonly log: string[]
  /** Resolves with the first line that is logged. */
  readonly firstLine: Promise<string>
  readonly #server: RunningServer

  private constructor(directory: string, log: string[], firstLine: Promise<string>, server: RunningServer) {
    this.directory = directory
    this.log = log
    this.firstLine = firstLine
    this.#server = server
  }

  static async start(keyHolder?: KeyHolder): Promise<TestService> {
    const directory = mkdtempSync(join(tmpdir(), 'health-records-test-'))
    const log: string[] = []
    const { promise, resolve } = Promise.withResolvers<string>()
    const server = await start({
      directory,
      port: 0,
      keyHolder: keyHolder ?? { identityFile: join(directory, 'identity.txt') },
      log(line) {
        log.push(line)
        resolve(line)
      },
    })
    return new TestService(directory, log, promise, server)
  }

  async ask(method: string, path: string, body?: unknown): Promise<Response> {
    return await fetch(this.#server.url + path, {
      method,
      ...(body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    })
  }

  async attach(patient: string, content: BodyInit): Promise<string> {
    const path = `/records/${patient}/attachments`
    const headers = { 'content-type': 'image/tiff' }
    // A stream as a body has to say so.
    const duplex = { duplex: 'half' }
    const response = await fetch(this.#server.url + path, {
      method: 'POST',
      body: content,
      headers,
      ...duplex,
    })
    return `${path}/${await idOf(response)}`
  }

  async range(path: string, range: string): Promise<Response> {
    return await fetch(this.#server.url + path, { headers: { range } })
  }

  async add(record: object = ada): Promise<string> {
    return await idOf(await this.ask('POST', '/records', record))
  }

  /** Changes the database as somebody who can write to it would. */
  tamper(statement: string, ...values: string[]): void {
    const database = new Database(join(this.directory, 'health.db'))
    database.prepare(statement).run(...values)
    database.close()
  }

  rows(statement: string): unknown[] {
    const database = new Database(join(this.directory, 'health.db'), { readonly: true })
    const rows = database.prepare(statement).all()
    database.close()
    return rows
  }

  /** All that lies on the disk, the journal included. */
  files(): Map<string, Buffer> {
    const entries = readdirSync(this.directory, { recursive: true, withFileTypes: true })
    const paths = entries
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name))
    return new Map(paths.map((path) => [path, readFileSync(path)]))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.close()
    rmSync(this.directory, { recursive: true, force: true })
  }
}

/** A key service with one key, in this process. */
export async function startKeyService() {
  const dataDir = mkdtempSync(join(tmpdir(), 'health-records-kms-'))
  const key = 'health-records'
  const { tokenFile } = await initService({ dataDir, firstKey: key })
  const service = await startService({ dataDir, port: 0 })
  return {
    keyHolder: { kmsUrl: service.url, tokenFile, key },
    client: new KmsClient({ url: service.url, token: readFileSync(tokenFile, 'utf8').trim() }),
    async [Symbol.asyncDispose]() {
      await service.close()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

async function idOf(response: Response): Promise<string> {
  if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`)
  const { id } = (await response.json()) as { id: string } // what this service answers with 201
  return id
}
