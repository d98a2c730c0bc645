/**
 * A process that appends to a file log for ever, to be killed. Prints `c NUMBER` for each batch that is committed and
 * `f BASE END` for each segment it is about to free. Arguments: the directory and the number of the first record.
 */
import { SystemClock } from '../../src/base/clock.ts'
import { SystemRandom } from '../../src/base/random.ts'
import { SystemFiles } from '../../src/base/system-files.ts'
import { openFileLog } from '../../src/log/file/file-log.ts'
import { killedRecord, killedSizes } from './killed-log.ts'

const [, , directory = '', first = '0'] = process.argv
const world = { files: new SystemFiles(), clock: new SystemClock(), random: new SystemRandom() }
const log = await openFileLog({ ...world, directory, ...killedSizes })
const batches: { position: number; last: number }[] = []
let next = Number(first)

function fill(): void {
  while (log.uncommittedBytes < 300_000) {
    for (let count = next % 7; count >= 0; count--) {
      const bytes = killedRecord(next++)
      const at = log.reserve(bytes.byteLength)
      log.buffer.set(bytes, at)
    }
    batches.push({ position: log.appended, last: next - 1 })
  }
}

log.listener = {
  committed(position) {
    while (batches[0] !== undefined && batches[0].position <= position) console.log(`c ${batches.shift()?.last}`)
    fill()
  },
  sealed(segment) {
    if (segment.id % 2 === 1) return
    console.log(`f ${segment.base} ${segment.end}`)
    log.free(segment)
  },
  failed(error) {
    throw error
  },
  roomChanged() {},
}
fill()
setInterval(() => {}, 1000)
