/** Each finding is provoked, most of them by doing what it is about. */

import { spawn } from 'node:child_process'
import {
  chmodSync,
  chownSync,
  copyFileSync,
  cpSync,
  mkdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'

import { describe, expect, onTestFinished, test } from 'vitest'

import { examine, findingsText, needsWork } from '../../src/server/doctor/doctor.ts'
import type { DoctorOptions } from '../../src/server/doctor/doctor.ts'
import { checks } from '../../src/server/doctor/finding.ts'
import type { Finding } from '../../src/server/doctor/finding.ts'
import { initService } from '../../src/server/init.ts'
import { startService } from '../../src/server/start.ts'
import { inspectDatabase } from '../../src/store/sqlite/inspect.ts'
import { makeCertificate, writeCertificate } from '../support/certificate.ts'
import { temporaryDirectory } from '../support/files.ts'
import { describePostgres } from '../support/postgres.ts'
import { run, serve } from '../support/process.ts'

const dayMs = 86_400_000

/** A service with nothing to find on it, but what the machine itself has. */
async function healthy(): Promise<{
  dataDir: string
  place: string
  keyFile: string
  options: DoctorOptions
}> {
  const place = temporaryDirectory()
  const dataDir = join(place, 'data')
  const keyFile = join(place, 'root.key')
  await initService({ dataDir, keyFile, tokenFile: join(place, 'admin.token'), firstKey: 'first' })
  return { dataDir, place, keyFile, options: { config: { dataDir, keyFile }, minFreeBytes: 0 } }
}

/** What is found of one thing, without what is well. */
async function found(check: Finding['check'], options: DoctorOptions): Promise<Finding[]> {
  return (await examine(options)).filter((one) => one.check === check && one.level !== 'ok')
}

const finding = (level: 'warning' | 'error', message: RegExp, next: RegExp) => ({
  level,
  message: expect.stringMatching(message) as string,
  next: expect.stringMatching(next) as string,
})

test('of everything something is said, and what is to be done says how', async () => {
  const { options } = await healthy()
  const findings = await examine(options)
  expect(new Set(findings.map(({ check }) => check))).toEqual(new Set(checks))
  for (const { level, next, message } of findings) {
    expect(next !== undefined, message).toBe(level === 'warning' || level === 'error')
  }
  // One slot, and no backup.
  expect(needsWork(findings)).toBe(true)
  expect(needsWork(findings.filter(({ level }) => level === 'ok' || level === 'unknown'))).toBe(false)
  expect(findingsText(findings)).toMatch(
    /^warning {2}slots {7}one slot .*\n {21}next: longhold kms slots add/mu,
  )
})

describe('files', () => {
  test('are well as they are made', async () => {
    const { options } = await healthy()
    expect(await found('files', options)).toEqual([])
  })

  test.each(['data', 'data/kms.db', 'root.key'])('%s open to others', async (name) => {
    const { place, options } = await healthy()
    chmodSync(join(place, name), name === 'data' ? 0o750 : 0o644)
    const mode = name === 'data' ? '700' : '600'
    expect(await found('files', options)).toMatchObject([
      finding('error', /is open to others \((750|644)\)/u, new RegExp(`^chmod ${mode} .*/${name}$`, 'u')),
    ])
  })

  test('a configuration that others may change', async () => {
    const { place, options } = await healthy()
    const configFile = join(place, 'kms.yaml')
    writeFileSync(configFile, '')
    chmodSync(configFile, 0o644)
    expect(await found('files', { ...options, configFile })).toEqual([])
    chmodSync(configFile, 0o664)
    expect(await found('files', { ...options, configFile })).toMatchObject([
      finding('error', /kms\.yaml may be changed by others/u, /^chmod go-w /u),
    ])
  })

  test('the key file beside the database, and a first token that was left', async () => {
    const { dataDir, place, keyFile, options } = await healthy()
    renameSync(keyFile, join(dataDir, 'root.key'))
    for (const name of ['admin.token', 'bootstrap.token']) {
      copyFileSync(join(place, 'admin.token'), join(dataDir, name))
    }
    expect(await found('files', { ...options, config: { dataDir } })).toMatchObject([
      finding('warning', /key file lies beside the database/u, /move the key file/u),
      finding('warning', /first token is still in .*admin\.token/u, /delete .*admin\.token/u),
      finding('warning', /first token is still in .*bootstrap\.token/u, /delete .*bootstrap\.token/u),
    ])
  })

  test('of somebody else', async () => {
    const { keyFile, options } = await healthy()
    const mine = process.getuid?.() ?? 0
    // Only root gives files away; anybody else sees that nothing is found.
    if (mine === 0) chownSync(keyFile, 12_345, 12_345)
    expect(await found('files', options)).toMatchObject(
      mine === 0 ? [finding('warning', /belongs to user 12345/u, /^chown 0 /u)] : [],
    )
  })
})

describe('the process', () => {
  test('that was started as it should be', async () => {
    const { dataDir, keyFile, options } = await healthy()
    const serving = await serve('--data-dir', dataDir, '--key-file', keyFile)
    const said = await examine(options)
    expect(said.find(({ check }) => check === 'core dumps')?.message).toContain(
      `process ${serving.process.pid}`,
    )
    // Tests start it as node main.ts.
    expect(said.filter(({ check, level }) => check === 'inspector' && level !== 'ok')).toMatchObject([
      finding('warning', /SIGUSR1/u, /--disable-sigusr1/u),
    ])
    await serving.stop('SIGTERM')
    expect(await found('inspector', options)).toMatchObject([{ level: 'unknown' }])
  })

  test('with an inspector that no signal opens, that dumps no core', async () => {
    const { dataDir, keyFile, options } = await healthy()
    await started(['-c', '0'], ['--disable-sigusr1'], dataDir, keyFile)
    expect(await found('inspector', options)).toEqual([])
    expect(await found('core dumps', options)).toEqual([])
  })

  test('that dumps core', async () => {
    const { dataDir, keyFile, options } = await healthy()
    await started(['-c', '1024'], [], dataDir, keyFile)
    expect(await found('core dumps', options)).toMatchObject([
      finding('error', /leaves its memory in a file .*limit \d+/u, /LimitCORE=0/u),
    ])
  })

  test('with its inspector open', async () => {
    const { dataDir, keyFile, options } = await healthy()
    await started(['-c', '0'], ['--inspect=127.0.0.1:0'], dataDir, keyFile)
    expect(await found('inspector', options)).toMatchObject([
      finding('error', /inspector open/u, /take --inspect away/u),
    ])
  })

  test.each([
    ['a disk', '/dev/sda2 partition 8388604 0 -2', 1],
    ['a file', '/swapfile file 8388604 0 -2', 1],
    ['compressed memory', '/dev/zram0 partition 8388604 0 100', 0],
  ])('where %s is there to swap to', async (_, line, count) => {
    const { options } = await healthy()
    const proc = proceedings({ swaps: `Filename Type Size Used Priority\n${line}\n` })
    expect(await found('memory', { ...options, proc })).toMatchObject(
      Array.from({ length: count }, () => finding('warning', /may be swapped to \//u, /swapoff -a/u)),
    )
  })

  test('that has been swapped out', async () => {
    const { dataDir, options } = await healthy()
    const { ino } = await import('node:fs').then(({ statSync }) => statSync(join(dataDir, 'kms.db.lock')))
    const proc = proceedings({
      locks: `1: POSIX  ADVISORY  WRITE 42 fe:00:${ino} 1073741824 1073742335\n`,
      '42/status': 'VmSwap:\t     128 kB\nSigCgt:\t0000000000000000\n',
      '42/limits': 'Max core file size        0                    0                    bytes\n',
    })
    expect(await found('memory', { ...options, proc })).toMatchObject([
      finding('error', /128 KiB of the service have been swapped out/u, /as if it held the keys/u),
    ])
  })

  test('on a machine without /proc', async () => {
    const { place, options } = await healthy()
    for (const check of ['memory', 'core dumps', 'inspector'] as const) {
      expect(await found(check, { ...options, proc: join(place, 'none') })).toMatchObject([
        { level: 'unknown' },
      ])
    }
  })
})

describe('TLS', () => {
  async function withTls(times: Parameters<typeof makeCertificate>[0] = {}) {
    const made = await healthy()
    const { certFile, keyFile } = writeCertificate(made.place, makeCertificate(times))
    const config = { ...made.options.config, tls: { certFile, keyFile } }
    return { ...made, certFile, tlsKey: keyFile, options: { ...made.options, config } }
  }

  test('with a good certificate, and keys exchanged by X25519MLKEM768', async () => {
    const { options } = await withTls()
    expect((await examine(options)).filter(({ check }) => check === 'tls')).toEqual([
      { check: 'tls', level: 'ok', message: expect.stringContaining('for 364 more days') as string },
      { check: 'tls', level: 'ok', message: 'keys are exchanged by X25519MLKEM768' },
    ])
  })

  test('that ends soon, has ended, or has not begun', async () => {
    const now = Date.now()
    const at = (days: number) => new Date(now + days * dayMs)
    expect(await found('tls', (await withTls({ notAfter: at(20.5) })).options)).toMatchObject([
      finding('warning', /valid for 20 more days/u, /renew it/u),
    ])
    expect(await found('tls', (await withTls({ notAfter: at(-0.1) })).options)).toMatchObject([
      finding('error', /expired on/u, /renew it/u),
    ])
    expect(await found('tls', (await withTls({ notBefore: at(1) })).options)).toMatchObject([
      finding('error', /is not valid before/u, /clock/u),
    ])
  })

  test('with a key that others may read, that is another, or is not there', async () => {
    const { tlsKey, options } = await withTls()
    writeFileSync(tlsKey, makeCertificate().privateKey)
    expect(await found('tls', options)).toMatchObject([
      finding('error', /is not the key of/u, /made together/u),
    ])
    chmodSync(tlsKey, 0o644)
    expect(await found('tls', options)).toMatchObject([
      finding('error', /read or written by others/u, /chmod 600/u),
    ])
    unlinkSync(tlsKey)
    expect(await found('tls', options)).toMatchObject([finding('error', /ENOENT/u, /give the file/u)])
  })

  test('of a running service: its group, and a certificate that was renewed and not read again', async () => {
    const { place, certFile, tlsKey, options } = await withTls()
    const serving = await startService({ ...options.config, port: 0 })
    onTestFinished(() => serving.close())
    const running = { ...options, config: { ...options.config, port: Number(new URL(serving.url).port) } }
    expect(await found('tls', running)).toEqual([])
    writeCertificate(place)
    expect([certFile, tlsKey]).toEqual([options.config.tls.certFile, options.config.tls.keyFile])
    expect(await found('tls', running)).toMatchObject([
      finding('warning', /another certificate than the file holds/u, /restart the service/u),
    ])
  })

  test('of a running service that cannot be reached where it is said to be', async () => {
    const { options } = await withTls()
    const serving = await startService({ ...options.config, port: 0 })
    onTestFinished(() => serving.close())
    // Nobody listens there.
    const config = { ...options.config, port: 1 }
    expect(await found('tls', { ...options, config })).toMatchObject([
      finding('error', /not exchanged by X25519MLKEM768 \(ECONNREFUSED\)/u, /what stands in front/u),
    ])
  })
})

describe('what is on record', () => {
  const records = {
    slots: ['key-file', 'passphrase'],
    newestMs: Date.now(),
    jumpByMs: undefined,
    newestBackupMs: Date.now() - 1000,
    newestVersionMs: Date.now() - 2000,
    clusterId: new Uint8Array(16),
    head: { epoch: 1, rowCount: 1, maskedSum: new Uint8Array(32), mac: new Uint8Array(32) },
  }

  test('one slot is read from the database, while a service uses it or not', async () => {
    const { options } = await healthy()
    const alone = finding('warning', /one slot opens the root key \(key-file\)/u, /slots add/u)
    expect(await found('slots', options)).toMatchObject([alone])
    const serving = await startService({ ...options.config, port: 0 })
    onTestFinished(() => serving.close())
    expect(await found('slots', options)).toMatchObject([alone])
  })

  test('two slots are well, none is the end', async () => {
    const { options } = await healthy()
    expect(await found('slots', { ...options, records })).toEqual([])
    expect(await found('slots', { ...options, records: { ...records, slots: [] } })).toMatchObject([
      finding('error', /no slot/u, /restore a backup/u),
    ])
  })

  test('backups: none, an old one, one without the newest versions', async () => {
    const { options } = await healthy()
    expect(await found('backups', { ...options, records })).toEqual([])
    const none = { ...records, newestBackupMs: undefined }
    expect(await found('backups', { ...options, records: none })).toMatchObject([
      finding('warning', /no backup is on record/u, /make one/u),
    ])
    const nowMs = Date.now() + 9 * dayMs
    expect(await found('backups', { ...options, records, nowMs })).toMatchObject([
      finding('warning', /9 days old/u, /make one/u),
    ])
    const rotated = { ...records, newestVersionMs: Date.now() }
    expect(await found('backups', { ...options, records: rotated })).toMatchObject([
      finding('error', /versions of keys that no backup has/u, /after every rotation/u),
    ])
  })

  test('no checkpoints, none yet, some beside the database, old ones, and a database that is older', async () => {
    const { place, dataDir, options } = await healthy()
    const folder = join(place, 'checkpoints')
    const config = { ...options.config, checkpointFolder: folder }
    const checkpoints = (more: Partial<DoctorOptions> = {}) =>
      found('checkpoints', { ...options, config, ...more })
    expect(await found('checkpoints', options)).toMatchObject([
      finding('warning', /no checkpoint leaves the machine/u, /checkpoint-folder/u),
    ])
    expect(await checkpoints()).toMatchObject([
      finding('warning', /there is no checkpoint in/u, /start the service/u),
    ])
    mkdirSync(folder)
    expect(await checkpoints()).toMatchObject([
      finding('warning', /there is no checkpoint in/u, /start the service/u),
    ])
    rmSync(folder, { recursive: true })

    copyFileSync(join(dataDir, 'kms.db'), join(place, 'older.db'))
    await (await startService({ ...config, port: 0 })).close()
    expect(await checkpoints()).toEqual([])
    const facts = inspectDatabase(join(dataDir, 'kms.db'))
    const later = { records: { ...facts, newestMs: (facts.newestMs ?? 0) + 5 * 3_600_000 } }
    expect(await checkpoints(later)).toMatchObject([
      finding('warning', /is \d hours older than/u, /log of the service/u),
    ])

    const inside = join(dataDir, 'checkpoints')
    cpSync(folder, inside, { recursive: true })
    expect(await checkpoints({ config: { ...config, checkpointFolder: inside } })).toMatchObject([
      finding('warning', /lie beside the database/u, /another machine/u),
    ])
    // Put back together with the anchor, which is none the wiser.
    copyFileSync(join(place, 'older.db'), join(dataDir, 'kms.db'))
    expect(await checkpoints()).toMatchObject([
      finding('error', /the database is at epoch \d+, and was at \d+ at a checkpoint/u, /rollback alarm/u),
    ])
    writeFileSync(join(folder, 'checkpoint-99999999-20990101T000000000Z.json'), '{}')
    expect(await checkpoints()).toMatchObject([
      finding('error', /is not the checkpoint that its name says/u, /who writes/u),
    ])
  })

  test('no anchor, one beside the database, one that is not there, and a database that is older', async () => {
    const { dataDir, place, options } = await healthy()
    const config = (anchor: string) => ({ ...options, config: { ...options.config, anchor } })
    const anchor = join(place, 'anchor.json')
    expect(await found('anchor', config('none'))).toMatchObject([
      finding('warning', /is not noticed/u, /apart from the database/u),
    ])
    expect(await found('anchor', config(join(dataDir, 'anchor.json')))).toMatchObject([
      finding('warning', /beside the database/u, /another place/u),
    ])
    expect(await found('anchor', config(join(place, 'other.json')))).toMatchObject([
      finding('error', /there is no anchor at/u, /accept-rollback/u),
    ])
    copyFileSync(join(dataDir, 'anchor.json'), anchor)
    expect(await found('anchor', config(anchor))).toEqual([])
    // Put back to what it was before a start of the service, which writes to its log.
    copyFileSync(join(dataDir, 'kms.db'), join(place, 'before.db'))
    await (await startService({ ...options.config, port: 0, anchor })).close()
    expect(await found('anchor', config(anchor))).toEqual([])
    for (const name of ['kms.db-wal', 'kms.db-shm']) rmSync(join(dataDir, name), { force: true })
    copyFileSync(join(place, 'before.db'), join(dataDir, 'kms.db'))
    expect(await found('anchor', config(anchor))).toMatchObject([
      finding('error', /is at epoch \d+, and was at \d+ before/u, /restore the newest database/u),
    ])
    writeFileSync(anchor, '{}')
    expect(await found('anchor', config(anchor))).toMatchObject([
      finding('error', /cannot be read \(it is no anchor\)/u, /accept-rollback/u),
    ])
  })

  test('a clock that went back, and one that nothing keeps right', async () => {
    const { place, options } = await healthy()
    // The database knows when it was made.
    expect(await found('clock', { ...options, nowMs: Date.now() - 120_000, path: '' })).toMatchObject([
      finding('error', /behind what the database knows/u, /set the clock/u),
    ])
    const jumped = { ...records, jumpByMs: 7_200_000 }
    expect(await found('clock', { ...options, records: jumped })).toMatchObject([
      finding('warning', /went 120 minutes at once/u, /clock accept/u),
    ])
    const answer = (text: string) => {
      writeFileSync(join(place, 'timedatectl'), `#!/bin/sh\necho ${text}\n`, { mode: 0o755 })
    }
    answer('yes')
    expect(await found('clock', { ...options, path: place })).toEqual([])
    answer('no')
    expect(await found('clock', { ...options, path: place })).toMatchObject([
      finding('warning', /nothing keeps the clock right/u, /set-ntp true/u),
    ])
    expect(await found('clock', { ...options, path: join(place, 'none') })).toMatchObject([
      { level: 'unknown' },
    ])
  })

  test('a disk that is nearly full', async () => {
    const { options } = await healthy()
    expect(await found('disk', { ...options, minFreeBytes: Number.MAX_SAFE_INTEGER })).toMatchObject([
      finding('warning', /MiB are free/u, /make room/u),
    ])
  })
})

await describePostgres('on PostgreSQL', (makeDatabase) => {
  test('the same is read from there, and whether a second server has each commit', async () => {
    const { url, pool } = await makeDatabase()
    const place = temporaryDirectory()
    const config = { dataDir: join(place, 'data'), anchor: join(place, 'anchor.json'), database: url }
    await expect(examine({ config })).rejects.toMatchObject({ code: 'not_initialised' })
    await initService({ ...config, firstKey: 'first' })
    const alone = finding('warning', /no second server has a commit/u, /synchronous_standby_names/u)
    expect(await found('slots', { config })).toMatchObject([finding('warning', /one slot/u, /slots add/u)])
    expect(await found('anchor', { config })).toEqual([])
    expect(await found('backups', { config })).toMatchObject([
      finding('warning', /no backup/u, /make one/u),
      alone,
    ])
    expect(await found('clock', { config, nowMs: Date.now() - 120_000, path: '' })).toMatchObject([
      finding('error', /behind what the database knows/u, /set the clock/u),
    ])
    // Nothing is written from here on: the second server is only a name.
    const [row] = (await pool.query<{ name: string }>('SELECT current_database() AS name')).rows
    await pool.query(`ALTER DATABASE ${row?.name} SET synchronous_commit = 'on'`)
    await pool.query(`ALTER SYSTEM SET synchronous_standby_names = 'second'`)
    await pool.query('SELECT pg_reload_conf()')
    const isSet = async () =>
      (await pool.query<{ on: boolean }>(`SELECT current_setting('synchronous_standby_names') <> '' AS on`))
        .rows[0]?.on === true
    while (!(await isSet())) await new Promise((resolve) => setImmediate(resolve))
    expect(await found('backups', { config })).toMatchObject([finding('warning', /no backup/u, /make one/u)])
  })
})

describe('the command', () => {
  test('answers with what it found, and 1 where there is something to do', async () => {
    const { dataDir, keyFile } = await healthy()
    const { code, stdout, stderr } = await run('doctor', '--data-dir', dataDir, '--key-file', keyFile)
    expect([code, stderr]).toEqual([1, ''])
    for (const check of checks)
      expect(stdout).toMatch(new RegExp(`^(ok|unknown|warning|error) +${check} `, 'mu'))
  })

  test('of nothing is a wrong call', async () => {
    const { code, stderr } = await run('doctor', '--data-dir', temporaryDirectory())
    expect([code, stderr]).toEqual([2, expect.stringContaining('there is no key service')])
  })
})

/** A process file system with these files. */
function proceedings(files: Readonly<Record<string, string>>): string {
  const proc = temporaryDirectory()
  for (const [name, content] of Object.entries({ 'self/limits': '', ...files })) {
    mkdirSync(join(proc, name, '..'), { recursive: true })
    writeFileSync(join(proc, name), content)
  }
  return proc
}

/** A service that was started under this limit (ulimit), by a node with these options. */
async function started(
  limit: readonly string[],
  nodeOptions: readonly string[],
  dataDir: string,
  keyFile: string,
): Promise<void> {
  const main = join(import.meta.dirname, '..', '..', 'src', 'main.ts')
  const argv = [main, 'serve', '--listen', '127.0.0.1:0', '--data-dir', dataDir, '--key-file', keyFile]
  const shell = `ulimit ${limit.join(' ')} && exec "$@"`
  const child = spawn('sh', ['-c', shell, 'sh', process.execPath, ...nodeOptions, ...argv])
  onTestFinished(() => void child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (text: Buffer) => text.toString().startsWith('listening') && resolve())
    child.on('exit', () => reject(new Error('it ended')))
  })
}
