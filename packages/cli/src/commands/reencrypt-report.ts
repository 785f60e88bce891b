/** The answers of the commands: tables for people, snake_case for programs. */

import { honestWord, remedies, residueOf } from '../reencrypt/honest-word.ts'
import type { AnyTargetKind } from '../reencrypt/honest-word.ts'
import { count, table } from '../shell/text.ts'
import type { RunState } from '../sources/run-state.ts'

/** Found is the sum of the four lines under it, as the last pass met them. */
export function runRows({
  counts,
  pass,
  conflicts,
  unauthenticated,
  bytesBefore,
  bytesAfter,
}: RunState): string[][] {
  const rows = [
    ['found', count(counts.found)],
    ['  migrated', count(counts.earlier + counts.migrated)],
    ['  already longhold', count(counts.already)],
    ['  dead letters', count(counts.dead)],
    ['  conflicts', count(counts.conflict)],
    ['without a value', count(counts.empty)],
    ['passes', count(pass)],
    ['changed meanwhile', `${count(conflicts)} by somebody else between reading and writing: read again`],
    ['bytes', `${count(bytesBefore)} before, ${count(bytesAfter)} after`],
  ]
  if (unauthenticated > 0) rows.push(['unauthenticated', `${count(unauthenticated)} taken as they were`])
  return rows
}

export function runJson(state: RunState) {
  const { counts } = state
  return {
    run_id: state.runId,
    status: state.status,
    table: state.table,
    column: state.column,
    dataset: state.dataset,
    passes: state.pass,
    found: counts.found,
    migrated: counts.earlier + counts.migrated,
    already: counts.already,
    dead: counts.dead,
    conflict: counts.conflict,
    empty: counts.empty,
    replaced_all_passes: state.migrated,
    conflicts_all_passes: state.conflicts,
    unauthenticated_all_passes: state.unauthenticated,
    bytes_before: state.bytesBefore,
    bytes_after: state.bytesAfter,
    data_keys: state.dataKeys,
    started_at: state.startedAt,
    updated_at: state.updatedAt,
    finished_at: state.finishedAt ?? null,
  }
}

/** As a person names it, and what it is. */
export interface NamedTarget {
  readonly kind: AnyTargetKind
  readonly file: string
}

/** What is left to do where no program can, and what none of it can mend. */
export function honestText({ kind, file }: NamedTarget): string {
  return [
    'old copies remain in',
    ...residueOf(kind, file).map((place) => `  - ${place}`),
    '',
    honestWord,
    '',
    table([
      ['operation', 'helps against copying from now on', 'helps for what was copied'],
      ...remedies.map(({ operation, fromNowOn, alreadyCopied }) => [operation, fromNowOn, alreadyCopied]),
    ]),
  ].join('\n')
}

export function honestJson({ kind, file }: NamedTarget) {
  return {
    residue: residueOf(kind, file),
    remedies: remedies.map(({ operation, fromNowOn, alreadyCopied }) => ({
      operation,
      helps_from_now_on: fromNowOn,
      helps_already_copied: alreadyCopied,
    })),
    word: honestWord.replaceAll('\n', ' '),
  }
}

/** `1 h 5 min`, `40 s`: as exact as anybody needs. */
export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`
  const minutes = Math.round(seconds / 60)
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}
