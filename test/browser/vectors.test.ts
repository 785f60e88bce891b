/** The vectors in a real browser. Where there is none, the closing lines say so; with CI=true that is a failure. */

import { expect, test } from 'vitest'

import { bundleVectors } from '../bundle.ts'
import type { EverywhereReport } from '../vectors/everywhere.ts'
import { findChromium, runInChromium } from './chromium.ts'

const chromium = await findChromium().catch((error: Error) => {
  if (process.env['CI'] === 'true') throw error
  return error
})

test('a real Chromium passes every vector, on the portable backend', async ({ skip }) => {
  const browser = chromium instanceof Error ? skip(chromium.message) : chromium
  const report = (await runInChromium(browser, await bundleVectors('browser'))) as EverywhereReport
  expect(report).toMatchObject({ chosen: 'noble', backends: ['noble'], unsupported: 0, failures: [] })
  expect(report.passed).toBeGreaterThan(100)
})

test('an error of the page in Chromium is an error here', async ({ skip }) => {
  const browser = chromium instanceof Error ? skip(chromium.message) : chromium
  const failing = `export const run = () => { throw new Error('on purpose') }`
  await expect(runInChromium(browser, failing)).rejects.toThrow(/on purpose/)
})
