/** Unwraps with a key of a PKCS #11 token, for `longhold reencrypt`: one JSON text a line, in and out. */

import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'

interface Request {
  readonly id: number
  readonly algorithm: 'RSA-OAEP' | 'RSA1_5'
  readonly hash?: string
  readonly mgf1_hash?: string
  readonly label?: string
  /** Base64. */
  readonly wrapped: string
}

const { values } = parseArgs({
  options: { module: { type: 'string' }, id: { type: 'string' }, token: { type: 'string' } },
})
const { module = '', id: keyId = '', token } = values
const which = ['--module', module, ...(token === undefined ? [] : ['--token-label', token]), '--id', keyId]

/** The bytes were refused; what fails before, a login or a mechanism, is the token's own trouble. */
const doesNotUnwrap = /C_Decrypt(?:Update|Final)? failed/u

function pkcs11(args: readonly string[]): Buffer {
  return execFileSync('pkcs11-tool', [...which, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
}

/** With its options for OAEP, as `pkcs11-tool` names the hashes. */
function mechanism({ algorithm, hash = '', mgf1_hash: mgf1Hash = '' }: Request): string[] {
  if (algorithm === 'RSA1_5') return ['--mechanism', 'RSA-PKCS']
  const named = (name: string): string => (name === 'sha1' ? 'SHA-1' : name.toUpperCase())
  const mgf = `MGF1-${mgf1Hash.toUpperCase()}`
  return ['--mechanism', 'RSA-PKCS-OAEP', '--hash-algorithm', named(hash), '--mgf', mgf]
}

function unwrap(request: Request): object {
  if (request.label !== undefined && request.label !== '') {
    return { unavailable: 'pkcs11-tool takes no OAEP label' }
  }
  const directory = mkdtempSync(join(tmpdir(), 'pkcs11-key-'))
  try {
    const input = join(directory, 'wrapped')
    writeFileSync(input, Buffer.from(request.wrapped, 'base64'))
    const output = join(directory, 'unwrapped')
    // The name of the variable, not the PIN, is what other processes see.
    const login = ['--login', '--pin', 'env:PKCS11_PIN']
    pkcs11([...login, '--decrypt', ...mechanism(request), '--input-file', input, '--output-file', output])
    const unwrapped = readFileSync(output)
    writeFileSync(output, Buffer.alloc(unwrapped.length))
    return { unwrapped: unwrapped.toString('base64') }
  } catch (error) {
    const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : String(error)
    return doesNotUnwrap.test(said) ? { failed: true } : { unavailable: said }
  } finally {
    rmSync(directory, { recursive: true })
  }
}

const publicKey = pkcs11(['--read-object', '--type', 'pubkey'])
const say = (answer: object): void => void process.stdout.write(`${JSON.stringify(answer)}\n`)
say({ protocol: 'longhold-private-key/1', public_key: publicKey.toString('base64') })
createInterface({ input: process.stdin }).on('line', (line) => {
  const request = JSON.parse(line) as Request
  say({ id: request.id, ...unwrap(request) })
})
