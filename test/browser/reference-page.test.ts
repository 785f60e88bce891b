/** The API page of the key service in a real Chromium, under its own policy, on a desk and on a telephone. */

import { afterAll, expect, test } from 'vitest'

import { startTestService } from '../../packages/kms/test/support/service.ts'
import { findChromium, runInChromium } from './chromium.ts'

const chromium = await findChromium().catch((error: Error) => {
  if (process.env['CI'] === 'true') throw error
  return error
})

interface Seen {
  width: number
  overflow: number
  display: string
  navPosition: string
  shownRoutes: number
  violations: string[]
}

test('is laid out, fits its window and breaks no policy of its own', async ({ skip }) => {
  const browser = chromium instanceof Error ? skip(chromium.message) : chromium
  const { app } = await startTestService({ onEnd: afterAll })
  const response = await app.request('/docs')
  const policy = response.headers.get('content-security-policy') ?? ''
  // The only directive that a page cannot say itself.
  const meta = `<meta http-equiv="Content-Security-Policy" content="${policy.replace(/; frame-ancestors.*$/u, '')}">`
  const page = (await response.text()).replace('<head>', `<head>${meta}`)
  const seen = (await runInChromium(browser, looking(page))) as Seen[]
  expect(seen.map(({ width }) => width)).toEqual([1280, 390])
  for (const { width, overflow, display, navPosition, shownRoutes, violations } of seen) {
    expect({ overflow, violations }).toEqual({ overflow: 0, violations: [] })
    expect([display, navPosition]).toEqual(width > 800 ? ['grid', 'sticky'] : ['block', 'static'])
    expect(shownRoutes).toBeGreaterThan(10)
  }
})

/** A module that shows the page in frames of two widths, and looks. */
function looking(page: string): string {
  return `
    const page = ${JSON.stringify(page).replaceAll('<', String.raw`\u003c`)}
    async function look(width) {
      const frame = document.createElement('iframe')
      frame.style.cssText = 'border: 0; height: 900px; width: ' + width + 'px'
      const loaded = new Promise((resolve) => frame.addEventListener('load', resolve))
      // Before it is there: else the first thing to be loaded is an empty page.
      frame.srcdoc = page
      document.body.append(frame)
      await loaded
      const { document: shown } = frame.contentWindow
      const style = (element) => frame.contentWindow.getComputedStyle(element)
      const titles = [...shown.querySelectorAll('article h3')]
      return {
        width: frame.contentWindow.innerWidth,
        overflow: shown.documentElement.scrollWidth - shown.documentElement.clientWidth,
        display: style(shown.body).display,
        navPosition: style(shown.querySelector('nav')).position,
        shownRoutes: titles.filter((title) => title.getBoundingClientRect().height > 0).length,
        violations: style(shown.querySelector('.method')).fontWeight === '700' ? [] : ['style refused'],
      }
    }
    export async function run() {
      const violations = []
      document.addEventListener('securitypolicyviolation', ({ violatedDirective }) => violations.push(violatedDirective))
      const seen = [await look(1280), await look(390)]
      return seen.map((one) => ({ ...one, violations: [...one.violations, ...violations] }))
    }
  `
}
