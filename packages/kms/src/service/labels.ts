/** Labels of keys. Grants go by them, so whoever changes labels gives and takes what grants allow. */

import { mayHandOn } from './grants.ts'
import { allRows } from './key-store.ts'
import type { RowReads } from './key-store.ts'
import { mayUse, permissionDenied } from './policy.ts'
import type { Caller, Subject } from './policy.ts'
import type { GrantRow } from './rows.ts'
import { appliesToKey } from './rule.ts'
import type { Labels } from './rule.ts'

/**
 * Whether the caller may give a key these labels: `keys.label`, for the labels before and after; and where grants begin
 * to apply by them, or denials cease to, `grants.create` and all that those say, for the key as it was. Or he would label
 * a key so that his own grants, or a friend's, reach it.
 *
 * @param subject Of a new key: without labels.
 * @throws ServiceError `permission_denied`.
 */
export async function requireLabels(
  reads: RowReads,
  caller: Caller,
  subject: Subject,
  after: Labels,
): Promise<void> {
  const { principal } = caller
  const { key, labels: before } = subject
  if (![before, after].every((labels) => mayUse(principal, 'keys.label', { key, labels }))) {
    throw permissionDenied('keys.label')
  }
  for await (const page of allRows(reads, 'grants')) {
    for (const grant of page) {
      if (!isConferred(grant, key, { before, after }) || isOver(grant, principal.at)) continue
      if (!mayUse(principal, 'grants.create', subject)) throw permissionDenied('grants.create')
      const [denied] = grant.permissions.filter(
        (permission) =>
          !mayHandOn(caller, { ...grant, permissions: [permission], keys: [key], labels: before }),
      )
      if (denied !== undefined) throw permissionDenied(denied)
    }
  }
}

/** Whether it is like making this grant, or like taking this denial away. */
function isConferred(
  { effect, keys, labels }: GrantRow,
  key: string,
  { before, after }: { readonly before: Labels | null; readonly after: Labels },
): boolean {
  if (labels === null) return false
  const appliesWith = (one: Labels | null) => appliesToKey({ effect, keys, labels }, { key, labels: one })
  const [did, does] = [appliesWith(before), appliesWith(after)]
  return effect === 'allow' ? !did && does : did !== does
}

function isOver({ notAfter, usesLeft }: GrantRow, now: number): boolean {
  return usesLeft === 0 || (notAfter !== null && notAfter <= now)
}
