/** The report as a page: one file, nothing from elsewhere, readable on paper. */

import type { Report } from './report.ts'

/** @param fingerprint Of the key that signed the report beside it; undefined: it is not signed. */
export function reportPage(report: Report, fingerprint: string | undefined): string {
  const { target, now, runs, exposure } = report
  const [latest] = runs
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>Re-encryption of ${escaped(target.name)}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color: #1c2430; background: #fff }
  h1 { font-size: 1.6rem; line-height: 1.25 } h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid #d5dbe3 }
  table { border-collapse: collapse; width: 100%; font-size: .92rem } th, td { text-align: left; padding: .3rem .8rem .3rem 0; vertical-align: top; border-bottom: 1px solid #eceff3 }
  td.n { text-align: right; font-variant-numeric: tabular-nums } code { font-size: .88em; overflow-wrap: anywhere }
  .bar { display: flex; height: 1.6rem; margin: .4rem 0; background: #eceff3 } .bar span { display: block; min-width: 2px }
  .key span { display: inline-block; margin-right: 1.4rem } .key i { display: inline-block; width: .8rem; height: .8rem; margin-right: .4rem }
  .records { background: #1f7a4d } .old { background: #b3541e } .none { background: #8a6d9e } .word { background: #fff7e0; padding: .8rem 1rem }
  @media print { body { margin: 0; font-size: 12px } }
</style>
</head>
<body>
<h1>Re-encryption of ${escaped(target.name)}</h1>
<p>Made ${escaped(report.made_at)}. ${
    fingerprint === undefined
      ? 'Not signed.'
      : `The report beside this page is signed with ML-DSA-65, key <code>${fingerprint}</code>.`
  }</p>

<h2>What is there now</h2>
${bar([
  ['records', now.records, 'records'],
  ['old', now.remaining - now.of_no_named_format, 'in an old form'],
  ['none', now.of_no_named_format, 'of no named format'],
])}
${table(
  ['Format', 'Key id', 'Data key', 'Body', 'Values left'],
  now.remaining_by_format.map((one) => [
    one.format,
    one.key_id ?? 'none',
    one.wrapping,
    one.body,
    one.values,
  ]),
)}
${verificationText(report)}

<h2>What the runs did</h2>
${table(
  ['Run', 'Begun', 'Finished', 'Status', 'Found', 'Migrated', 'Already', 'Dead', 'Conflict', 'Adds up'],
  runs.map((run) => [
    run.run_id,
    run.started_at,
    run.finished_at ?? '',
    run.status,
    run.found,
    run.migrated,
    run.already,
    run.dead,
    run.conflict,
    run.adds_up ? 'yes' : 'NO',
  ]),
)}
<p>Found is migrated + already in longhold's form + dead letters + conflicts, as the last pass of each run met them.</p>

<h2>What was opened</h2>
${kinds(report)}

<h2>Under which keys it is now</h2>
${table(
  ['Data key', 'State', 'Records', 'Recipients'],
  report.data_keys.map((key) => [
    key.key_id,
    key.state,
    key.records,
    key.recipients.map(({ recipient_id: id, suite }) => `${suite} ${id}`).join(', '),
  ]),
)}

<h2>Exposure</h2>
<p>From ${escaped(exposure.since ?? 'a time that nobody named')} to ${escaped(exposure.until ?? 'now')}${
    latest === undefined ? '' : ' the values stood there in their RSA-wrapped form'
  }. ${escaped(exposure.meaning)}</p>
<p>Old copies remain in:</p>
<ul>${report.residue.map((place) => `<li>${escaped(place)}</li>`).join('')}</ul>
${table(
  ['Operation', 'Helps against copying from now on', 'Helps for what was copied'],
  report.remedies.map((one) => [one.operation, one.helps_from_now_on, one.helps_already_copied]),
)}
<p class="word">${escaped(report.word)}</p>
</body>
</html>
`
}

function verificationText({ verification }: Report): string {
  if (verification === null) return '<p>Nothing was opened for this report: no identity was given.</p>'
  const failed = verification.do_not_open.map(({ code, values }) => `${counted(values)} ${code}`)
  return `<p>${counted(verification.opened)} records were opened for this report with an identity, under ${counted(
    verification.data_keys,
  )} data keys; ${failed.length === 0 ? 'none failed' : escaped(`these did not open: ${failed.join(', ')}`)}.</p>`
}

/** Old values by kind, over all runs, as bars. */
function kinds({ runs }: Report): string {
  const sums = new Map<string, number>()
  for (const { opened_by_kind: opened } of runs) {
    for (const { format, key_id: keyId, wrapping, body, values } of opened) {
      const name = `${format}, key ${keyId ?? 'unnamed'}, ${wrapping}, ${body}`
      sums.set(name, (sums.get(name) ?? 0) + values)
    }
  }
  const most = Math.max(1, ...sums.values())
  const width = (values: number): string => ((values / most) * 100).toFixed(1)
  return `<table>${[...sums]
    .toSorted(([, a], [, b]) => b - a)
    .map(
      ([name, values]) =>
        `<tr><td style="width:45%">${escaped(name)}</td><td><div class="bar"><span class="old" style="width:${width(
          values,
        )}%"></span></div></td><td class="n">${counted(values)}</td></tr>`,
    )
    .join('')}</table>`
}

function bar(parts: readonly (readonly [className: string, count: number, name: string])[]): string {
  const sum = parts.reduce((total, [, one]) => total + one, 0)
  const there = parts.filter(([, one]) => one > 0)
  const spans = there.map(
    ([className, one]) =>
      `<span class="${className}" style="width:${((one / sum) * 100).toFixed(2)}%"></span>`,
  )
  const key = parts.map(
    ([className, one, name]) => `<span><i class="${className}"></i>${counted(one)} ${name}</span>`,
  )
  return `<div class="bar" role="img" aria-label="${parts.map(([, one, name]) => `${one} ${name}`).join(', ')}">${spans.join(
    '',
  )}</div><p class="key">${key.join('')}</p>`
}

function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  if (rows.length === 0) return '<p>None.</p>'
  const cell = (value: string | number): string =>
    typeof value === 'number' ? `<td class="n">${counted(value)}</td>` : `<td>${escaped(value)}</td>`
  return `<table><tr>${head.map((name) => `<th>${name}</th>`).join('')}</tr>${rows
    .map((row) => `<tr>${row.map(cell).join('')}</tr>`)
    .join('')}</table>`
}

function counted(value: number): string {
  return value.toLocaleString('en-US')
}

/** Key ids and names come from the data. */
function escaped(text: string): string {
  const names: Readonly<Record<string, string>> = {
    '&': 'amp',
    '<': 'lt',
    '>': 'gt',
    '"': 'quot',
    "'": '#39',
  }
  return text.replaceAll(/[&<>"']/gu, (character) => `&${names[character] ?? ''};`)
}
