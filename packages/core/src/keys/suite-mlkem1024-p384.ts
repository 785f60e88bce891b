/**
 * The second suite, with parameters of category 5 (SPEC §1.2). An entry of its own, so that who does not use it does not
 * ship it. Not a claim of conformance to any procurement profile.
 *
 * @module @longhold/core/mlkem1024-p384
 */

import { mlKem1024P384 } from '../primitives/mlkem1024-p384.ts'
import { suiteFrom } from './suite.ts'
import type { Suite } from './suite.ts'

/** MLKEM1024-P384, HKDF-SHA384, AES-256-GCM (SPEC §1.2). */
export const mlKem1024P384Suite: Suite = suiteFrom({
  name: 'MLKEM1024-P384, HKDF-SHA384, AES-256-GCM',
  kem: mlKem1024P384,
  kdfId: 0x0002,
  hash: 'sha384',
})
