/** What re-encrypting does and does not do for the data, said by the plan and again in every report. */

import type { ObjectTargetKind } from '../sources/object-source.ts'
import type { TargetKind } from '../sources/row-source.ts'

export const remedies = [
  {
    operation: 'rewrap (same data key)',
    fromNowOn: 'only once every old wrap is gone',
    alreadyCopied: 'no',
  },
  { operation: 're-encrypt (new data key)', fromNowOn: 'yes', alreadyCopied: 'no' },
  {
    operation: 'change the secret itself (password, token)',
    fromNowOn: 'yes',
    alreadyCopied: 'yes, the only remedy',
  },
] as const

export const honestWord = [
  'Re-encrypting protects the copies you hold and what is written from now on. It does nothing for copies of the',
  'RSA-wrapped data that somebody already took: those stay readable to whoever breaks RSA one day. Destroying the RSA',
  'private key does not help either, since it can be computed from the public key. Secrets that may have been copied',
  'must be changed themselves.',
].join('\n')

/** Of rows, or of whole objects. */
export type AnyTargetKind = TargetKind | ObjectTargetKind

/** Where old copies stay behind. Some are ours to name, most are the operator's to find. */
export function residueOf(kind: AnyTargetKind, file: string): readonly string[] {
  return [
    ...residue[kind].map((place) => place.replace('FILE', file)),
    'backups, snapshots and replicas made before the run',
    'exports, dumps, logs, caches and message queues that held the values',
    'git history and artefacts of builds and tests',
  ]
}

const oldFile = ['FILE itself: it is kept until the run is finalised']

const residue: Readonly<Record<AnyTargetKind, readonly string[]>> = {
  'NDJSON file': oldFile,
  'CSV file': oldFile,
  'directory tree': [
    'FILE/.longhold/originals: the old files, until the run is finalised',
    'free blocks of the disk: removing a file does not overwrite it, and no program can on SSDs and copy-on-write file systems',
  ],
  bucket: [
    'older versions of the objects in FILE, where versioning is on; a lifecycle rule for noncurrent versions removes them',
    'the originals of the run, until it is finalised',
    'buckets that FILE is replicated to, and multipart uploads that nobody completed',
  ],
  'SQLite table': [
    'pages of the database file that are free now: VACUUM rewrites it, PRAGMA secure_delete=ON prevents it from then on',
    'the write-ahead log beside the database until a checkpoint truncates it: PRAGMA wal_checkpoint(TRUNCATE)',
  ],
  'PostgreSQL table': [
    'dead rows and free space of the table until VACUUM FULL rewrites it; VACUUM alone leaves the bytes in their pages',
    'the write-ahead log, its archive, and standbys and logical subscribers that are behind',
  ],
}
