/** How commands reach a key service over TLS: who may vouch for it, and by which groups keys are exchanged. */

import { loadConfig } from './config.ts'
import { usage } from './errors.ts'
import { readInput } from './files.ts'
import type { Terminal } from './terminal.ts'

const caLimit = { maxBytes: 1024 * 1024, reason: 'that is too long to be a few certificates' }

/**
 * For this address, as `LONGHOLD_KMS_CA_FILE` and `LONGHOLD_KMS_ALLOW_CLASSICAL`, or `kms-ca-file` and
 * `kms-allow-classical` of `longhold.yaml` say. Without TLS, the platform's.
 *
 * @throws CliError with exit code 2 for a file that cannot be read, or a variable that is neither true nor false.
 */
export async function serviceFetch(terminal: Terminal, url: string): Promise<typeof fetch> {
  if (!url.startsWith('https:')) return fetch
  const config = await loadConfig(terminal)
  const { env } = terminal.io
  const caFile = env['LONGHOLD_KMS_CA_FILE'] ?? config.kmsCaFile
  const ca =
    caFile === undefined ? {} : { ca: new TextDecoder().decode(await readInput(terminal, caFile, caLimit)) }
  const allowClassical = switchOf(env['LONGHOLD_KMS_ALLOW_CLASSICAL']) ?? config.kmsAllowClassical
  const { tlsFetch } = await import('@longhold/core/kms')
  return tlsFetch({
    ...ca,
    allowClassical,
    onConnection({ group }) {
      if (group !== 'X25519MLKEM768') {
        terminal.warn(
          `the connection to ${url} is not safe from a quantum computer later: keys are exchanged by ${group}`,
          'give the key service TLS with X25519MLKEM768, then take kms-allow-classical away',
        )
      }
    },
  })
}

function switchOf(text: string | undefined): boolean | undefined {
  if (text === undefined) return undefined
  if (text === 'true' || text === 'false') return text === 'true'
  throw usage('LONGHOLD_KMS_ALLOW_CLASSICAL is true or false')
}
