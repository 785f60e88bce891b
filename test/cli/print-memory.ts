/** Preloaded into a process, says at its end how much memory it had at the most, in KiB. */

import { writeFileSync } from 'node:fs'

process.on('exit', () =>
  writeFileSync(process.env['PEAK_MEMORY_FILE'] ?? '', String(process.resourceUsage().maxRSS)),
)
