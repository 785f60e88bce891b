import { writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { describe, expect, test } from 'vitest'

import { readConfig, usage } from '../src/config.ts'
import { ConfigError } from '../src/config/config-error.ts'
import { configText } from '../src/config/config-text.ts'
import { settingNames, settings, variableOf } from '../src/config/settings.ts'
import { temporaryDirectory } from './support/files.ts'

function fileWith(text: string): string {
  const path = join(temporaryDirectory(), 'kms.yaml')
  writeFileSync(path, text)
  return path
}

function problemsOf(argv: readonly string[], env: Record<string, string> = {}): readonly string[] {
  try {
    readConfig(argv, env)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

describe('configuration', () => {
  test('an option goes before a variable, a variable before the file', () => {
    const file = fileWith('data-dir: /file\nlisten: 127.0.0.1:1\nlog: error\nmax-connections: 7\n')
    const env = {
      LONGHOLD_KMS_CONFIG: file,
      LONGHOLD_KMS_DATA_DIR: '/env',
      LONGHOLD_KMS_LISTEN: '[::1]:2',
      UNRELATED: 'x',
    }
    const { values, origins } = readConfig(['serve', '--data-dir', '/option'], env)
    expect(values).toEqual({
      'data-dir': '/option',
      listen: { host: '::1', port: 2 },
      log: 'error',
      'max-connections': 7,
    })
    expect([...origins]).toEqual([
      ['data-dir', '--data-dir'],
      ['listen', 'LONGHOLD_KMS_LISTEN'],
      ['max-connections', `max-connections of ${file}`],
      ['log', `log of ${file}`],
    ])
  })

  test('an option names another file than the variable, and turns a switch of the file off', () => {
    const file = fileWith('data-dir: /d\nplain-http-anywhere: true\n')
    const { values } = readConfig(['serve', '--config', file, '--no-plain-http-anywhere'], {
      LONGHOLD_KMS_CONFIG: '/nowhere',
    })
    expect(values['plain-http-anywhere']).toBe(false)
  })

  test('paths of a file begin beside it, others where one is', () => {
    const file = fileWith('data-dir: data\nkey-file: /etc/root.key\n')
    const { values } = readConfig(['serve', '--config', file], {
      LONGHOLD_KMS_TLS_CERT: 'c',
      LONGHOLD_KMS_TLS_KEY: 'k',
    })
    expect(values).toMatchObject({
      'data-dir': join(file, '..', 'data'),
      'key-file': '/etc/root.key',
      'tls-cert': join(process.cwd(), 'c'),
    })
  })

  test('every setting can be said in all three ways', () => {
    const given: Record<string, string> = {
      TEXT: 'a',
      FILE: '/f',
      DIRECTORY: '/d',
      PATH: 'none',
      'HOST:PORT': 'localhost:0',
      TIME: '20s',
      SPAN: '1d',
      NUMBER: '40',
      'info|error|silent': 'silent',
      '': 'true',
    }
    const help = usage()
    const rows = settingNames.map((name) => {
      const [, valueName = ''] = new RegExp(`^ {2}--${name} (\\S*) `, 'mu').exec(help) ?? []
      return { name, valueName, value: given[valueName] ?? '' }
    })
    expect(rows.filter(({ value }) => value === '')).toEqual([])
    const shared = rows.filter(({ name }) => settings[name].commands.some((one) => one === 'serve'))
    expect(shared.length).toBeGreaterThan(20)
    const options = shared.flatMap(({ name, valueName, value }) =>
      valueName === '' ? [`--${name}`] : [`--${name}`, value],
    )
    const env = Object.fromEntries(shared.map(({ name, value }) => [variableOf(name), value]))
    const file = fileWith(shared.map(({ name, value }) => `${name}: ${value}\n`).join(''))
    const byOption = readConfig(['serve', ...options], {}).values
    expect(Object.keys(byOption)).toEqual(shared.map(({ name }) => name))
    expect(readConfig(['serve'], env).values).toEqual(byOption)
    expect(readConfig(['serve', '--config', file], {}).values).toEqual(byOption)
  })

  test('is frozen, and help needs nothing', () => {
    const config = readConfig(['serve', '--data-dir', '/d'], {})
    expect([Object.isFrozen(config), Object.isFrozen(config.values)]).toEqual([true, true])
    for (const argv of [[], ['help'], ['--help'], ['serve', '-h']]) {
      expect(readConfig(argv, {}).command).toBe('help')
    }
  })

  test('says what it is, and who says so', () => {
    const config = readConfig(['serve', '--data-dir', '/d', '--check-config'], {
      LONGHOLD_KMS_LISTEN: '[::1]:0',
    })
    expect(config.checkOnly).toBe(true)
    expect(configText(config, config.file)).toBe(
      [
        'configuration file: none',
        'data-dir             /d  (--data-dir)',
        'listen               ::1:0  (LONGHOLD_KMS_LISTEN)',
        'all others as by default',
      ].join('\n'),
    )
  })

  test('all that is wrong is said at once', () => {
    const file = fileWith('data-dir: /d\nlisen: x\nlog: loud\n')
    expect(
      problemsOf(['serve', '--config', file, '--max-connections', '0'], {
        LONGHOLD_KMS_REQUEST_TIMOUT: '1s',
        LONGHOLD_KMS_TLS_CERT: '/c',
      }),
    ).toEqual([
      'there is no variable LONGHOLD_KMS_REQUEST_TIMOUT; did you mean LONGHOLD_KMS_REQUEST_TIMEOUT?',
      `${file}: there is no entry lisen; did you mean listen?`,
      '--max-connections is a number from 1 to 100000, not "0"',
      `log of ${file} is one of info, error, silent, not "loud"`,
      'tls-cert is given and tls-key is not: TLS takes both',
    ])
  })

  test.each([
    [['serve'], /data-dir is missing/u],
    [['serve', '--data-dir', ''], /--data-dir is empty/u],
    [['start', '--data-dir', '/d'], /there is no command start/u],
    [['serve', 'now', '--data-dir', '/d'], /there is no command serve now/u],
    [['serve', '--data-dir', '/d', '--plain-http-everywhere'], /did you mean --plain-http-anywhere\?/u],
    [['serve', '--data-dri', '/d'], /there is no option --data-dri; did you mean --data-dir\?/u],
    [['serve', '--data-dir', '/d', '--first-key', 'a'], /--first-key is no option of serve/u],
    [['serve', '--data-dir', '/d', '--data-dir', '/e'], /--data-dir is given twice/u],
    [['serve', '--data-dir', '/d', '--listen', '8420'], /HOST:PORT/u],
    [['serve', '--data-dir', '/d', '--listen', ':8420'], /HOST:PORT/u],
    [['serve', '--data-dir', '/d', '--listen', '::1:8420'], /HOST:PORT/u],
    [['serve', '--data-dir', '/d', '--listen', '127.0.0.1:65536'], /HOST:PORT/u],
    [['serve', '--data-dir', '/d', '--log', 'debug'], /one of info, error, silent/u],
    [['serve', '--data-dir', '/d', '--request-timeout', '30'], /a time from 1s to 5m, not "30"/u],
    [['serve', '--data-dir', '/d', '--request-timeout', '6m'], /a time from 1s to 5m/u],
    [['serve', '--data-dir', '/d', '--headers-timeout', '40s'], /longer than request-timeout/u],
    [['serve', '--data-dir', '/d', '--tls-require-pq'], /takes TLS/u],
    [['serve', '--data-dir', '/d', '--tls-key', '/k'], /tls-cert is not/u],
    [['serve', '--data-dir', '/d', '--seal-url', 'https://x'], /given together/u],
  ])('%j is refused', (argv, problem) => {
    expect(problemsOf(argv).join('\n')).toMatch(problem)
  })

  test.each([
    ['a list', '- data-dir\n', /must be a list of entries/u],
    ['a key twice', 'log: info\nlog: error\n', /not YAML/u],
    ['an anchor', 'data-dir: &a /d\nkey-file: *a\n', /anchors/u],
    ['not closed', 'log: "info\n', /not YAML/u],
    ['a nested entry', 'listen: { host: a }\ndata-dir: /d\n', /HOST:PORT/u],
    ['an entry of every object', 'constructor: x\ndata-dir: /d\n', /there is no entry constructor/u],
    ['a switch that is a word', 'data-dir: /d\nplain-http-anywhere: yes\n', /true or false/u],
  ])('a file with %s is refused', (_, text, problem) => {
    expect(problemsOf(['serve', '--config', fileWith(text)]).join('\n')).toMatch(problem)
  })

  test('a file that is not there is refused, and one that is empty says nothing', () => {
    expect(problemsOf(['serve', '--config', '/nowhere/kms.yaml'])).toEqual([
      '/nowhere/kms.yaml cannot be read (ENOENT)',
    ])
    expect(problemsOf(['serve', '--config', fileWith(''), '--data-dir', '/d'])).toEqual([])
  })

  test('a secret in the wrong place is not repeated', () => {
    const token = `lhk_${'0'.repeat(24)}_${'S3cret'.repeat(7)}x`
    for (const option of ['--listen', '--log', '--max-connections', '--idle-timeout']) {
      const said = problemsOf(['serve', '--data-dir', '/d', option, token]).join('\n')
      expect(said).toContain(option)
      expect(said).not.toContain('S3cret')
    }
  })
})
