/** What `longhold.yaml` may say of OpenPGP. Apart from the format, which is loaded when it is needed. */

import { spawnSync } from 'node:child_process'

import { z } from 'zod'

import { witnessSettings } from './witness.ts'

export const openPgpSettings = witnessSettings
  .extend({
    /** Opens the messages, with its own keys, in place of this program: `gpg`, or a path to it. */
    program: z
      .string()
      .refine((program) => spawnSync(program, ['--version'], { stdio: 'ignore' }).status === 0, {
        error: 'does not start: give the path of gpg',
      })
      .optional(),
    /** Its `--homedir`. */
    home: z.string().optional(),
  })
  .refine(({ program, home }) => home === undefined || program !== undefined, {
    error: 'is of use to a program only: say program: gpg',
    path: ['home'],
  })
