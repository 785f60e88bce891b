/** Loaded in front of a program with `--import`: writes the peak of its memory, in bytes, into the file that BENCH_USAGE names. */

import { writeFileSync } from 'node:fs'

const file = process.env['BENCH_USAGE']
if (file === undefined) throw new Error('BENCH_USAGE names no file')
process.on('exit', () => writeFileSync(file, String(process.resourceUsage().maxRSS * 1024)))
