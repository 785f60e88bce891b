/** Ceph's object gateway, a real S3 server that honours `If-Match`: a monitor, an OSD in memory and radosgw, for one test file. */

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, appendFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'

import { BucketClient } from '../../src/sources/s3-client.ts'
import { hasTool, runTool } from './tools.ts'

export interface Radosgw {
  readonly endpoint: string
  /** For the command line. */
  readonly env: Readonly<Record<string, string>>
  client(bucket: string): BucketClient
  stop(): void
}

const credentials = { accessKeyId: 'testing', secretAccessKey: 'testing-secret' }
const programs = ['ceph-mon', 'ceph-osd', 'radosgw', 'ceph']

export function hasRadosgw(): boolean {
  return programs.every((program) => hasTool(program))
}

/** Resolves when it answers. */
export async function startRadosgw(): Promise<Radosgw> {
  const directory = mkdtempSync(join(tmpdir(), 'longhold-ceph-'))
  const file = (name: string): string => join(directory, name)
  const [monPort, rgwPort] = [await freePort(), await freePort()]
  for (const name of ['mon', 'osd', 'run']) mkdirSync(file(name))
  const fsid = randomUUID()
  writeFileSync(file('ceph.conf'), configuration(directory, fsid, monPort, rgwPort))
  const keyring = file('keyring')
  const tool = (program: string, ...args: readonly string[]) =>
    runTool(program, args, { env: { CEPH_CONF: file('ceph.conf') } })
  const children: ChildProcess[] = []
  const start = (program: string, ...args: readonly string[]): void => {
    const child = spawn(program, ['-f', '-c', file('ceph.conf'), ...args], { stdio: 'ignore' })
    children.push(child)
  }
  const stop = (): void => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(directory, { recursive: true, force: true })
  }
  try {
    tool('ceph-authtool', '--create-keyring', keyring, '--gen-key', '-n', 'mon.', '--cap', 'mon', 'allow *')
    const all = ['mon', 'osd', 'mgr'].flatMap((daemon) => ['--cap', daemon, 'allow *'])
    tool('ceph-authtool', keyring, '--gen-key', '-n', 'client.admin', ...all)
    tool('monmaptool', '--create', '--fsid', fsid, '--addv', 'a', `[v2:127.0.0.1:${monPort}]`, file('monmap'))
    tool('ceph-mon', '--mkfs', '-i', 'a', '--monmap', file('monmap'), '--keyring', keyring)
    start('ceph-mon', '-i', 'a')
    const osd = randomUUID()
    tool('ceph', 'osd', 'new', osd)
    const caps = ['mon', 'allow profile osd', 'osd', 'allow *']
    tool('ceph', 'auth', 'get-or-create', 'osd.0', ...caps, '-o', file('osd/keyring'))
    appendFileSync(keyring, readFileSync(file('osd/keyring')))
    tool('ceph-osd', '-i', '0', '--mkfs', '--osd-uuid', osd)
    start('ceph-osd', '-i', '0')
    start('radosgw', '-n', 'client.admin')
    const { accessKeyId, secretAccessKey } = credentials
    const keys = ['--access-key', accessKeyId, '--secret', secretAccessKey]
    tool('radosgw-admin', 'user', 'create', '--uid', 'test', '--display-name', 'test', ...keys)
  } catch (error) {
    stop()
    throw error
  }
  const endpoint = `http://127.0.0.1:${rgwPort}`
  for (let attempt = 0; attempt < 300; attempt++) {
    if (
      await fetch(endpoint).then(
        () => true,
        () => false,
      )
    )
      break
    await setTimeout(100)
  }
  return {
    endpoint,
    env: {
      AWS_ACCESS_KEY_ID: credentials.accessKeyId,
      AWS_SECRET_ACCESS_KEY: credentials.secretAccessKey,
      AWS_ENDPOINT_URL_S3: endpoint,
    },
    client: (bucket) =>
      new BucketClient({ endpoint, bucket, region: 'us-east-1', ...credentials, sessionToken: undefined }),
    stop,
  }
}

function configuration(directory: string, fsid: string, monPort: number, rgwPort: number): string {
  return `[global]
fsid = ${fsid}
mon host = [v2:127.0.0.1:${monPort}/0]
public addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
osd pool default size = 1
osd pool default min size = 1
osd crush chooseleaf type = 0
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon data avail warn = 1
mon data avail crit = 1
run dir = ${directory}/run
admin socket = ${directory}/run/$name.$pid.asok
log file = ${directory}/run/$name.log
pid file = ${directory}/run/$name.pid
keyring = ${directory}/keyring
[mon.a]
mon data = ${directory}/mon
[osd.0]
osd data = ${directory}/osd
osd objectstore = memstore
memstore device bytes = 1073741824
osd class load list = *
osd class default list = *
[client]
rgw frontends = beast endpoint=127.0.0.1:${rgwPort}
rgw dynamic resharding = false
rgw enable gc threads = false
rgw data = ${directory}/rgw
`
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo // of a TCP server
  await new Promise((resolve) => server.close(resolve))
  return port
}
