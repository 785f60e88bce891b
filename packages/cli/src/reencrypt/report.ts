/** The report of what runs did on a target, for an auditor: facts alone, in the order in which they are asked for. */

import { inspect } from '@longhold/core'

import type { StoredDataKey, TargetDescription } from '../sources/row-source.ts'
import { addsUp } from '../sources/run-state.ts'
import type { RunState } from '../sources/run-state.ts'
import { honestWord, remedies, residueOf } from './honest-word.ts'
import type { Survey } from './survey.ts'
import type { Verification } from './verify.ts'

export const reportFormat = 'longhold/reencrypt-report/1'

export interface ReportFacts {
  readonly target: TargetDescription
  /** The newest first. */
  readonly runs: readonly RunState[]
  readonly dataKeys: readonly StoredDataKey[]
  /** What is there now. */
  readonly survey: Survey
  /** What opens now; undefined when there was no identity to ask. */
  readonly verification: Verification | undefined
  /** When data of the old form was first written, ISO 8601; undefined: nobody said. */
  readonly since: string | undefined
  readonly madeAt: string
}

export type Report = ReturnType<typeof reportOf>

/** Plain JSON, snake_case. */
export function reportOf({ target, runs, dataKeys, survey, verification, since, madeAt }: ReportFacts) {
  const [latest] = runs
  const remaining = survey.values - survey.already
  return {
    format: reportFormat,
    made_at: madeAt,
    target: { name: target.name, kind: target.kind, table: target.table, column: target.column },
    now: {
      values: survey.values,
      records: survey.already,
      remaining,
      remaining_by_format: survey.groups.map(({ format, keyId, wrapping, body, count }) => {
        return { format, key_id: keyId ?? null, wrapping, body, values: count }
      }),
      of_no_named_format: survey.unrecognized.count,
      without_a_value: survey.empty,
    },
    verification: verification === undefined ? null : verificationOf(verification),
    runs: runs.map(runOf),
    data_keys: dataKeys.map(dataKeyOf),
    exposure: {
      since: since ?? null,
      until: latest?.finishedAt ?? null,
      meaning:
        'What was copied in this time in its RSA-wrapped form stays readable to whoever breaks RSA; it is not undone by re-encrypting.',
    },
    residue: residueOf(target.kind, target.file),
    remedies: remedies.map(({ operation, fromNowOn, alreadyCopied }) => {
      return { operation, helps_from_now_on: fromNowOn, helps_already_copied: alreadyCopied }
    }),
    word: honestWord.replaceAll('\n', ' '),
  }
}

function runOf(run: RunState) {
  const { counts } = run
  return {
    run_id: run.runId,
    status: run.status,
    started_at: run.startedAt,
    finished_at: run.finishedAt ?? null,
    updated_at: run.updatedAt,
    passes: run.pass,
    found: counts.found,
    migrated: counts.earlier + counts.migrated,
    already: counts.already,
    dead: counts.dead,
    conflict: counts.conflict,
    adds_up: addsUp(counts),
    replaced_all_passes: run.migrated,
    conflicts_all_passes: run.conflicts,
    unauthenticated: run.unauthenticated,
    bytes_before: run.bytesBefore,
    bytes_after: run.bytesAfter,
    keeps_originals: run.keepsOriginals,
    opened_by_kind: Object.entries(run.kinds).map(([kind, values]) => {
      // Written by kindOf.
      const [format, keyId, wrapping, body] = JSON.parse(kind) as [string, string | null, string, string]
      return { format, key_id: keyId, wrapping, body, values }
    }),
  }
}

function dataKeyOf({ keyId, name, state, messages, bytes, wrappedKey }: StoredDataKey) {
  const { stanzas } = inspect(wrappedKey)
  return {
    key_id: keyId,
    name,
    state,
    records: messages,
    bytes,
    recipients: stanzas.map(({ recipientId, suite }) => ({ recipient_id: recipientId, suite })),
  }
}

function verificationOf({ opened, failures, remaining, dataKeys }: Verification) {
  return {
    opened,
    not_reencrypted: remaining,
    do_not_open: [...failures].map(([code, { count }]) => ({ code, values: count })),
    data_keys: dataKeys,
  }
}
