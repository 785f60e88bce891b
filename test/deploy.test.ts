/** What operators install: the unit of systemd, the container file and the configuration that comes with them. */

import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'

import { readConfig } from '../packages/kms/src/config.ts'
import { lintContainerfile, readContainerfile } from './containerfile.ts'

const root = join(import.meta.dirname, '..')
const deploy = join(root, 'packages/kms/deploy')
const unit = readFileSync(join(deploy, 'longhold-kms.service'), 'utf8')
const containerfile = readFileSync(join(deploy, 'Containerfile'), 'utf8')

/** `Section.Directive` to all its values. */
function directives(text: string): Map<string, string[]> {
  const found = new Map<string, string[]>()
  let section = ''
  for (const line of text.split('\n')) {
    const [, name] = /^\[(\w+)\]$/u.exec(line) ?? []
    section = name ?? section
    const [, key, value] = /^(\w+)=(.*)$/u.exec(line) ?? []
    if (key !== undefined)
      found.set(`${section}.${key}`, [...(found.get(`${section}.${key}`) ?? []), value ?? ''])
    else if (name === undefined && line !== '' && !line.startsWith('#'))
      throw new Error(`no directive: ${line}`)
  }
  return found
}

function temporary(): string {
  const folder = mkdtempSync(join(tmpdir(), 'longhold-deploy-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

describe('the unit of systemd', () => {
  const found = directives(unit)

  test.each([
    ['LimitCORE', '0'],
    ['MemorySwapMax', '0'],
    ['UMask', '0077'],
    ['User', 'longhold'],
    ['NoNewPrivileges', 'true'],
    ['CapabilityBoundingSet', ''],
    ['PrivateDevices', 'true'],
    ['PrivateTmp', 'true'],
    ['PrivateUsers', 'true'],
    ['ProtectSystem', 'strict'],
    ['ProtectHome', 'true'],
    ['ProtectProc', 'invisible'],
    ['ProtectKernelTunables', 'true'],
    ['RestrictNamespaces', 'true'],
    ['RestrictSUIDSGID', 'true'],
    ['RestrictAddressFamilies', 'AF_INET AF_INET6 AF_UNIX'],
    ['SystemCallArchitectures', 'native'],
    ['StateDirectoryMode', '0700'],
    ['RuntimeDirectoryMode', '0700'],
    // A wrong configuration is exit code 2.
    ['RestartPreventExitStatus', '2'],
  ])('has %s=%s', (name, value) => {
    expect(found.get(`Service.${name}`)).toEqual([value])
  })

  test('starts what is there, with no inspector, and ends it by the signal that drains', () => {
    const [start = ''] = found.get('Service.ExecStart') ?? []
    const [, path = ''] =
      /^\/usr\/bin\/node --disable-sigusr1 \/opt\/longhold\/(\S+) serve --config \S+$/u.exec(start) ?? []
    expect(existsSync(join(root, path)), start).toBe(true)
    expect(found.get('Service.KillSignal')).toEqual(['SIGTERM'])
  })

  test('passes systemd’s own check, where there is one', () => {
    const path = join(temporary(), 'longhold-kms.service')
    // The program is looked for too.
    writeFileSync(path, unit.replace('/usr/bin/node', process.execPath))
    const said = (...argv: string[]) => spawnSync('systemd-analyze', argv, { encoding: 'utf8' })
    const isThere = said('--version').status === 0
    const verified = isThere ? said('verify', path) : { status: 0, stderr: '' }
    expect([verified.status, verified.stderr]).toEqual([0, ''])
    // In tenths: 2.0 of 10 is called OK, and more than 4 is not.
    const exposed = isThere
      ? said('security', '--offline=true', '--threshold=20', path)
      : { status: 0, stdout: '' }
    expect(exposed.status, exposed.stdout).toBe(0)
  })

  test('a line that is no directive is found', () => {
    expect(() => directives(`${unit}\nNoNewPrivileges true`)).toThrow('no directive')
  })
})

describe('the configuration that comes with it', () => {
  test('is one, and its admin socket and data lie where the unit makes room', () => {
    const { values } = readConfig(['serve', '--config', join(deploy, 'kms.yaml')], {})
    expect(values).toMatchObject({
      'data-dir': '/var/lib/longhold',
      'admin-socket': '/run/longhold/admin.sock',
      'tls-require-pq': true,
    })
    expect(values['key-file']?.startsWith('/var/lib/longhold')).toBe(false)
    const [seconds] = directives(unit).get('Service.TimeoutStopSec') ?? []
    expect(Number(seconds) * 1000).toBeGreaterThan(
      (values['drain-delay'] ?? 0) + (values['drain-timeout'] ?? 10_000),
    )
  })
})

describe('the container file', () => {
  test('has no fault, and copies only what is there', () => {
    const instructions = readContainerfile(containerfile)
    expect(lintContainerfile(instructions)).toEqual([])
    const copied = instructions.filter(({ name, text }) => name === 'COPY' && !text.startsWith('--from'))
    for (const { text } of copied) {
      for (const path of text.split(/\s+/u).slice(0, -1))
        expect(existsSync(join(root, path)), path).toBe(true)
    }
    expect(copied.length).toBeGreaterThan(3)
  })

  test('copies everything that the service is made of', () => {
    for (const path of ['packages/core/src', 'packages/kms/src', 'packages/kms/migrations']) {
      expect(containerfile).toContain(`COPY ${path} ${path}\n`)
    }
  })

  test.each([
    ['no version', 'FROM node:26-slim\n', 'FROM node\n', 'node has no version'],
    ['the newest version', 'FROM node:26-slim\n', 'FROM node:latest\n', 'node:latest has no version'],
    ['root', 'USER node', 'USER 0', 'the last stage runs as root'],
    ['no user', 'USER node\n', '', 'the last stage runs as root'],
    ['a shell', 'ENTRYPOINT ["node", ', 'ENTRYPOINT node [', 'ENTRYPOINT goes through a shell'],
    ['a secret', 'NODE_ENV=production', 'API_TOKEN=x', 'ENV holds a secret'],
    ['a download', 'RUN npx', 'RUN curl x | sh; npx', 'RUN fetches what nobody checks'],
    ['another instruction', 'COPY packages/kms/src', 'ADD packages/kms/src', 'ADD is not among'],
    ['a path outside', 'RUN npx', 'RUN rm -rf /etc; npx', 'RUN names a path outside'],
  ])('with %s is refused', (_, from, to, fault) => {
    expect(containerfile).toContain(from)
    const faults = lintContainerfile(readContainerfile(containerfile.replace(from, to)))
    expect(faults.join('\n')).toContain(fault)
  })
})
