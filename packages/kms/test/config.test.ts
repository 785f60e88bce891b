import { describe, expect, test } from 'vitest'

import { ConfigError, readConfig } from '../src/config.ts'

describe('configuration', () => {
  test('the command line goes before the environment', () => {
    const env = {
      LONGHOLD_KMS_DATA_DIR: '/env',
      LONGHOLD_KMS_KEY_FILE: '/env/key',
      LONGHOLD_KMS_LISTEN: '[::1]:1',
      LONGHOLD_KMS_LOG: 'error',
    }
    expect(readConfig(['serve'], env)).toMatchObject({
      command: 'serve',
      dataDir: '/env',
      keyFile: '/env/key',
      host: '::1',
      port: 1,
      logLevel: 'error',
      plainHttpAnywhere: false,
    })
    const argv = [
      'serve',
      '--data-dir',
      '/d',
      '--key-file',
      '/k',
      '--listen',
      'localhost:0',
      '--log',
      'silent',
    ]
    expect(readConfig(argv, env)).toMatchObject({
      dataDir: '/d',
      keyFile: '/k',
      host: 'localhost',
      port: 0,
      logLevel: 'silent',
    })
  })

  test('is frozen, and help needs nothing', () => {
    expect(Object.isFrozen(readConfig(['serve', '--data-dir', '/d'], {}))).toBe(true)
    for (const argv of [[], ['help'], ['--help'], ['serve', '-h']]) {
      expect(readConfig(argv, {}).command).toBe('help')
    }
  })

  test.each([
    [['serve']],
    [['serve', '--data-dir', '']],
    [['start', '--data-dir', '/d']],
    [['serve', 'now', '--data-dir', '/d']],
    [['serve', '--data-dir', '/d', '--plain-http-everywhere']],
    [['serve', '--data-dir', '/d', '--listen', '8420']],
    [['serve', '--data-dir', '/d', '--listen', ':8420']],
    [['serve', '--data-dir', '/d', '--listen', '::1:8420']],
    [['serve', '--data-dir', '/d', '--listen', '127.0.0.1:65536']],
    [['serve', '--data-dir', '/d', '--log', 'debug']],
  ])('%j is refused', (argv) => {
    expect(() => readConfig(argv, {})).toThrow(ConfigError)
  })
})
