/** Reads the facts of a PostgreSQL database, while services use it or not. */

import type { DatabaseFacts } from '../../service/database-facts.ts'
import { ServiceError } from '../../service/errors.ts'
import { openPool, translated } from './connection.ts'

const newest = `
  SELECT (SELECT max(created_at) FROM longhold_kms.versions) AS version,
    (SELECT max(taken_at) FROM longhold_kms.backups WHERE confirmed_at IS NOT NULL) AS backup,
    greatest((SELECT max(started_at) FROM longhold_kms.audit_heads),
      (SELECT max(created_at) FROM longhold_kms.versions),
      (SELECT max(created_at) FROM longhold_kms.tokens),
      (SELECT max(latest) FROM longhold_kms.clock)) AS any,
    (SELECT max(jump_by_ms) FROM longhold_kms.clock WHERE jump_seen_at IS NOT NULL) AS jump`
const head = `
  SELECT cluster_id, epoch, row_count, masked_sum, mac
  FROM longhold_kms.cluster_head, (SELECT cluster_id FROM longhold_kms.cluster) AS cluster WHERE id = 1`

interface NewestRow {
  readonly version: string | null
  readonly backup: string | null
  readonly any: string | null
  readonly jump: string | null
}

interface ClusterHeadRow {
  readonly cluster_id: Buffer
  readonly epoch: string
  readonly row_count: string
  readonly masked_sum: Buffer
  readonly mac: Buffer
}

/** @throws ServiceError `bad_config`, `storage_unavailable`; `not_initialised` when there is no service in it. */
export async function inspectPostgres(url: string): Promise<DatabaseFacts> {
  const { pool } = openPool(url, 1)
  try {
    return await translated(async () => {
      const { rows: schemas } = await pool.query("SELECT 1 FROM pg_namespace WHERE nspname = 'longhold_kms'")
      if (schemas.length === 0) throw notInitialised()
      const { rows: slots } = await pool.query<{ kind: string }>('SELECT kind FROM longhold_kms.slots')
      const { rows: heads } = await pool.query<ClusterHeadRow>(head)
      const { rows: times } = await pool.query<NewestRow>(newest)
      const { rows: standbys } = await pool.query<{ names: string; level: string }>(
        "SELECT current_setting('synchronous_standby_names') AS names, current_setting('synchronous_commit') AS level",
      )
      const [row] = heads
      if (row === undefined) throw notInitialised()
      const [standby] = standbys
      return {
        slots: slots.map(({ kind }) => kind),
        newestMs: numberOf(times[0]?.any),
        jumpByMs: numberOf(times[0]?.jump),
        newestVersionMs: numberOf(times[0]?.version),
        newestBackupMs: numberOf(times[0]?.backup),
        clusterId: row.cluster_id,
        head: {
          epoch: Number(row.epoch),
          rowCount: Number(row.row_count),
          maskedSum: row.masked_sum,
          mac: row.mac,
        },
        hasSynchronousStandby:
          standby !== undefined && standby.names !== '' && /^(?:on|remote_)/u.test(standby.level),
      }
    })
  } finally {
    await pool.end()
  }
}

/** The driver gives numbers of 64 bits as text. */
function numberOf(text: string | null | undefined): number | undefined {
  return text === null || text === undefined ? undefined : Number(text)
}

function notInitialised(): ServiceError {
  return new ServiceError('not_initialised', 'there is no key service in this database', {
    hint: 'initialise it once, or give another database',
  })
}
