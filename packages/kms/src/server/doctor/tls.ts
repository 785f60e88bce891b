/** Certificate, key and group: looked at as a client would. */

import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'

import { postQuantumGroup, tlsServerOptions } from '../../http/tls.ts'
import { ServiceError } from '../../service/errors.ts'
import { readTlsFiles } from '../tls-files.ts'
import type { TlsFiles, TlsMaterial } from '../tls-files.ts'
import { failure, ok, warning } from './finding.ts'
import type { Finding } from './finding.ts'

export interface TlsSubject {
  readonly files: (TlsFiles & { readonly requirePostQuantum?: boolean | undefined }) | undefined
  /** Where a running service is to be found; undefined: none runs, or nobody knows where. */
  readonly running: { readonly host: string; readonly port: number } | undefined
  readonly nowMs: number
}

const check = 'tls'
const dayMs = 86_400_000
/** Time enough for somebody to be asked twice. */
const warnDays = 30
const handshakeMs = 5000

export async function examineTls({ files, running, nowMs }: TlsSubject): Promise<Finding[]> {
  if (files === undefined) {
    return [ok(check, 'plain HTTP: on this machine, or behind a proxy that speaks TLS with X25519MLKEM768')]
  }
  let material: TlsMaterial
  try {
    material = readTlsFiles(files)
  } catch (error) {
    if (!(error instanceof ServiceError)) throw error
    return [failure(check, error.message, error.hint ?? 'give certificate and key in PEM')]
  }
  const findings = [dates(material, files.certFile, nowMs)]
  if (running === undefined) findings.push(await ownGroup(material, files.requirePostQuantum === true))
  else findings.push(...(await asServed(material, running)))
  return findings
}

function dates({ leaf }: TlsMaterial, certFile: string, nowMs: number): Finding {
  const [from, to] = [leaf.validFromDate, leaf.validToDate]
  const days = Math.floor((to.getTime() - nowMs) / dayMs)
  const next = 'renew it, put it in the same place and restart the service'
  if (nowMs < from.getTime()) {
    const message = `the certificate ${certFile} is not valid before ${from.toISOString()}`
    return failure(check, message, 'look at the clock of this machine, then at the certificate')
  }
  if (nowMs > to.getTime()) {
    return failure(check, `the certificate ${certFile} expired on ${to.toISOString()}`, next)
  }
  const message = `the certificate ${certFile} is valid for ${days} more days`
  return days < warnDays ? warning(check, message, next) : ok(check, message)
}

/** With a server of its own, started on the same files. */
async function ownGroup(
  { certificate, privateKey }: TlsMaterial,
  requirePostQuantum: boolean,
): Promise<Finding> {
  const server = createServer(tlsServerOptions({ certificate, privateKey, requirePostQuantum }, handshakeMs))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  try {
    // It listens on a port.
    const { port } = server.address() as AddressInfo
    return groupFinding(await shakeHands({ host: '127.0.0.1', port }, ({ group }) => group))
  } finally {
    server.close()
  }
}

async function asServed(
  { leaf }: TlsMaterial,
  running: { readonly host: string; readonly port: number },
): Promise<Finding[]> {
  const served = await shakeHands(running, (seen) => seen)
  if (typeof served === 'string') return [groupFinding(served)]
  const isSame = served.fingerprint === leaf.fingerprint256
  const stale = warning(
    check,
    'the service serves another certificate than the file holds',
    'restart the service',
  )
  return [groupFinding(served.group), ...(isSame ? [] : [stale])]
}

function groupFinding(group: string): Finding {
  if (group === postQuantumGroup) return ok(check, `keys are exchanged by ${group}`)
  const message = `keys are not exchanged by ${postQuantumGroup} (${group})`
  return failure(
    check,
    message,
    'run the service on a Node with OpenSSL 3.5 or later, and look at what stands in front',
  )
}

interface Seen {
  readonly group: string
  readonly fingerprint: string
}

/** What a client that has the group sees; else how the handshake ended. Nothing secret is sent, so any certificate does. */
async function shakeHands<T>(
  { host, port }: { readonly host: string; readonly port: number },
  use: (seen: Seen) => T,
): Promise<T | string> {
  const name = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host
  const socket: TLSSocket = connect({ host: name, port, minVersion: 'TLSv1.3', rejectUnauthorized: false })
  socket.setTimeout(handshakeMs, () => socket.destroy(new Error('no answer')))
  try {
    await once(socket, 'secureConnect')
    const info: { name?: unknown } | null = socket.getEphemeralKeyInfo()
    return use({
      group: String(info?.name),
      fingerprint: socket.getPeerX509Certificate()?.fingerprint256 ?? '',
    })
  } catch (error) {
    return error instanceof Error && 'code' in error ? String(error.code) : 'no answer'
  } finally {
    socket.destroy()
  }
}
