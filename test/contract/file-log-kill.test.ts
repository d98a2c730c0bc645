/**
 * The file log on a real disk, in a real process that is killed: what it reported as committed is there afterwards.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { SystemClock } from '../../src/base/clock.ts'
import { SystemRandom } from '../../src/base/random.ts'
import { SystemFiles } from '../../src/base/system-files.ts'
import { openFileLog } from '../../src/log/file/file-log.ts'
import { killedRecord, killedSizes } from '../support/killed-log.ts'
import { replayedAll } from '../support/log-driver.ts'

interface Range {
  readonly base: number
  readonly end: number
}

test('a log whose process is killed again and again keeps all that it had committed', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'log-'))
  try {
    let first = 0
    const freed: Range[] = []
    for (let round = 0; round < 5; round++) {
      const committed = await runAndKill({ directory, first, commits: 40 + round * 150, freed })
      first = (await checkLog(directory, { first, committed, freed })) + 1
    }
  } finally {
    rmSync(directory, { recursive: true })
  }
})

/** Kills the writer once it has reported so many commits; returns the number of the last record it reported. */
async function runAndKill(options: {
  directory: string
  first: number
  commits: number
  freed: Range[]
}): Promise<number> {
  const script = fileURLToPath(new URL('../support/log-writer-process.js', import.meta.url))
  const writer = spawn(process.execPath, [script, options.directory, String(options.first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  writer.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    if (output.split('\nc ').length > options.commits) writer.kill('SIGKILL')
  })
  await once(writer, 'close')
  let committed = -1
  // The last line may be cut.
  for (const line of output.split('\n').slice(0, -1)) {
    const [kind, a, b] = line.split(' ')
    if (kind === 'c') committed = Number(a)
    else options.freed.push({ base: Number(a), end: Number(b) })
  }
  return committed
}

/** Returns the number of the last record in the log. */
async function checkLog(
  directory: string,
  told: { first: number; committed: number; freed: readonly Range[] },
): Promise<number> {
  const world = { files: new SystemFiles(), clock: new SystemClock(), random: new SystemRandom() }
  const log = await openFileLog({ ...world, directory, ...killedSizes })
  let last = { number: -1, position: 0 }
  for (const { position, bytes } of await replayedAll(log)) {
    const number = Buffer.from(bytes.buffer, bytes.byteOffset).readUInt32LE(0)
    assert.ok(Buffer.compare(bytes, killedRecord(number)) === 0, `record ${number} is as it was written`)
    const isNext = number === last.number + 1
    const isBehindFreed = told.freed.some(
      ({ base, end }) => base >= last.position - killedSizes.segmentBytes && end <= position,
    )
    assert.ok(isNext || (number > last.number && isBehindFreed), `${last.number} is followed by ${number}`)
    last = { number, position }
  }
  assert.ok(last.number >= told.committed, `${told.committed} was committed and ${last.number} is the last`)
  assert.ok(told.committed >= told.first, 'something was committed')
  await log.close()
  return last.number
}
