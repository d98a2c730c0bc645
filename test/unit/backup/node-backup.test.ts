import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readBackup } from '../../../src/backup/archive-reader.ts'
import { backupMsMax, NodeBackup, type NodeBackupOptions, stallMsMax } from '../../../src/backup/node-backup.ts'
import { ManualClock } from '../../../src/base/clock.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { tarEnd, tarHeader } from '../../../src/base/tar.ts'
import { HeldLogs } from '../../../src/log/file/held-logs.ts'
import type { LogSnapshot } from '../../../src/log/file/log-snapshot.ts'
import { BackupRefused } from '../../../src/management/backup.ts'
import { SimulatedFiles } from '../../support/simulated-files.ts'

/** A node with logs that hold nothing but an identity. */
class Stage {
  readonly clock = new ManualClock()
  readonly held = new HeldLogs()
  holds = 0
  isFull = false
  readonly backup: NodeBackup

  constructor() {
    for (const name of ['topology', 'shard-0']) this.open(name)
    this.backup = new NodeBackup({
      held: this.held,
      topology: { vhosts: new Map() },
      streams: { ids: [] },
      streamLogs: {},
      files: new SimulatedFiles({ hasJournal: false }),
      clock: this.clock,
      logger: silentLogger,
      version: '0.0.0',
      isFull: () => this.isFull,
    } as unknown as NodeBackupOptions)
  }

  open(name: string): void {
    this.held.opened(name, { isOpen: true, whenClosed: null, hold: () => this.#hold(name) })
  }

  #hold(directory: string): LogSnapshot {
    this.holds++
    const content = new Uint8Array(1_000).fill(7)
    let isHeld = true
    const release = (): void => {
      if (isHeld) this.holds--
      isHeld = false
    }
    return { directory, files: [{ name: 'identity', storedBytes: 1_000, bytes: 4_096, content }], release }
  }
}

async function* from(bytes: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* bytes
}

async function all(parts: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const taken: Uint8Array[] = []
  for await (const part of parts) taken.push(part)
  return taken
}

test('a backup is read back as it was, however it is cut on its way, and holds nothing any more', async () => {
  const stage = new Stage()
  const whole = Buffer.concat(await all(stage.backup.begin()))
  assert.equal(stage.holds, 0)
  for (const step of [1, 511, 512, 513, whole.length]) {
    const cut: Uint8Array[] = []
    for (let at = 0; at < whole.length; at += step) cut.push(whole.subarray(at, at + step))
    const { facts, files } = await readBackup(from(cut), null)
    assert.equal(facts.at, stage.clock.now())
    assert.deepEqual(
      files.map(({ name, bytes, fill }) => [name, bytes, fill]),
      [
        ['topology/identity', 1_000, 4_096],
        ['shard-0/identity', 1_000, 4_096],
      ],
    )
  }
})

test('a backup that lacks its end anywhere, or has one bit changed anywhere that counts, is refused', async () => {
  const stage = new Stage()
  const whole = Buffer.concat(await all(stage.backup.begin()))
  for (let length = 0; length < whole.length; length += 97) {
    await assert.rejects(readBackup(from([whole.subarray(0, length)]), null), { code: 'TAR_DAMAGED' }, `${length}`)
  }
  const first = await readBackup(from([whole]), null)
  for (let at = 0; at < whole.length; at++) {
    const altered = Buffer.from(whole)
    altered[at] = (altered[at] ?? 0) ^ 4
    // The padding between files means nothing, nor do mode and time in their headers.
    const read = await readBackup(from([altered]), null).catch(
      (error: { code?: string }) => error.code ?? String(error),
    )
    if (typeof read === 'string') assert.equal(read, 'TAR_DAMAGED')
    else assert.deepEqual(read.files, first.files)
  }
})

test('a name that leads elsewhere is refused before anything is made of it', async () => {
  for (const name of ['../etc', '/topology/identity', 'topology/../identity', 'streams/x/identity', 'topology/a']) {
    const stage = new Stage()
    const [header, facts, padding] = await all(stage.backup.begin())
    const begun: string[] = []
    const sink = { begin: async (one: string) => void begun.push(one), part: async () => {}, end: async () => {} }
    const parts = [header, facts, padding, tarHeader({ name, bytes: 0 }, 0), tarEnd].flatMap((part) => part ?? [])
    await assert.rejects(readBackup(from(parts), sink), /a backup has no file/)
    assert.deepEqual(begun, [])
  }
})

test('one at a time, and not without room', async () => {
  const stage = new Stage()
  const first = stage.backup.begin()
  assert.throws(() => stage.backup.begin(), BackupRefused)
  await all(first)
  await all(stage.backup.begin())
  stage.isFull = true
  assert.throws(() => stage.backup.begin(), /make room/)
})

test('it ends, and lets the logs go, when nobody takes it, takes too long, when the room ends or a log is opened anew', async () => {
  const ways: readonly [way: (stage: Stage) => void, why: RegExp][] = [
    [({ clock }) => clock.advance(stallMsMax), /for a minute/],
    [
      ({ clock, holds }) => {
        assert.equal(holds, 2)
        clock.advance(backupMsMax)
      },
      /for a minute|six hours/,
    ],
    [
      (stage) => {
        stage.isFull = true
      },
      /no room left/,
    ],
    [(stage) => stage.open('shard-0'), /opened anew/],
    [({ held }) => held.end(), /the node stops/],
  ]
  for (const [way, why] of ways) {
    const stage = new Stage()
    const parts = stage.backup.begin()[Symbol.asyncIterator]()
    await parts.next()
    way(stage)
    await assert.rejects(async () => {
      for (let next = await parts.next(); next.done !== true; next = await parts.next());
    }, why)
    assert.equal(stage.holds, 0)
  }
})

test('one that nobody ever takes from ends by itself', () => {
  const stage = new Stage()
  stage.backup.begin()
  assert.equal(stage.holds, 2)
  stage.clock.advance(stallMsMax)
  assert.equal(stage.holds, 0)
  stage.backup.begin()
})
