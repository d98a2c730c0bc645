/**
 * What every `Log` does, for the replicated log on three real servers; and what happens when the leader of its stream is killed
 * while records are appended.
 */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { jetstreamManager, PersistMode } from '@nats-io/jetstream'
import { SystemClock } from '../../src/base/clock.ts'
import { SystemRandom } from '../../src/base/random.ts'
import { SystemFiles } from '../../src/base/system-files.ts'
import type { FrameStreams, StreamSettings } from '../../src/log/jetstream/frame-stream.ts'
import { openNatsStreams } from '../../src/log/jetstream/nats-streams.ts'
import { openReplica, type Replica, type ReplicaListener, type ReplicatedLog } from '../../src/log/jetstream/replica.ts'
import { ReplicatedStreamLogs, TooManyStreams } from '../../src/log/jetstream/replicated-stream-logs.ts'
import { LogDeposed, LogWentBack } from '../../src/log/log.ts'
import { type DrivenLog, LogDriver, recordBytes, replayedAll } from '../support/log-driver.ts'
import { NatsServers, natsServerPath } from '../support/nats/nats-servers.ts'
import { type Kind, suite } from './log-suite.ts'

const kibi = 1024
const sizes = { pageBytes: 64 * kibi, segmentBytes: 256 * kibi, firstSegmentBytes: 256 * kibi, roomBytesMin: 0 }
const settings: StreamSettings = { replicas: 3, bytesMax: 64 * kibi * kibi }
const program = natsServerPath()

if (program === null) {
  it('is not tested here: there is no nats-server (NATS_SERVER, the path, /opt/nats)', () => {})
} else {
  const world = { clock: new SystemClock(), random: new SystemRandom(), files: new SystemFiles() }
  const root = mkdtempSync(join(tmpdir(), 'warren-replica-'))
  const nameOf = new WeakMap<object, string>()
  let servers: NatsServers
  let streams: FrameStreams
  let directories = 0

  before(async () => {
    servers = await NatsServers.start(program, 3)
    streams = await connected()
  })

  after(async () => {
    await servers.stop()
    rmSync(root, { recursive: true, force: true })
  })

  const connected = async (): Promise<FrameStreams> =>
    openNatsStreams({ ...world, connection: await servers.connect(), prefix: 'test', replicas: 3 })

  /** A node that never saw the log, with a connection of its own. */
  const replicaOf = async (name: string, listener?: ReplicaListener, followMs = 0): Promise<Replica> => {
    const stream = await (await connected()).open(name, { ...settings, followMs })
    const directory = join(root, `${directories++}`)
    return openReplica({ ...world, ...sizes, stream, directory, ...(listener !== undefined && { listener }) })
  }

  const ownerOf = async (name: string): Promise<ReplicatedLog> => {
    const stream = await streams.open(name, settings)
    const replica = await openReplica({ ...world, ...sizes, stream, directory: join(root, `${directories++}`) })
    const log = await replica.takeOver(1)
    nameOf.set(log, name)
    return log
  }

  const kind: Kind = {
    name: 'replicated log on three nats-servers',
    open: () => ownerOf(`log-${directories}`),
    reopen: (log: DrivenLog) => ownerOf(nameOf.get(log) ?? 'none'),
    segmentBytes: sizes.segmentBytes,
    recordBytesMax: sizes.pageBytes / 2,
    traces: 4,
  }

  describe(kind.name, () => suite(kind))

  describe('a replicated log on real servers', () => {
    it('confirms nothing that is lost when the leader of its stream is killed', { timeout: 120_000 }, async () => {
      const driver = new LogDriver(await ownerOf('killed'))
      const followed = recordsOf()
      const follower = await replicaOf('killed', followed.listener)
      const manager = await jetstreamManager(await servers.connect())
      const leader = servers.indexOf((await manager.streams.info('test-log-killed')).cluster?.leader ?? '')
      assert.ok(leader >= 0)
      let isOver = false
      const appending = (async () => {
        for (let number = 0; !isOver; number++) {
          driver.append(recordBytes(number, 300))
          await driver.settle()
        }
      })()
      await passed(300)
      await servers.kill(leader)
      const before = driver.commits.length
      while (driver.commits.length < before + 50) await passed(20)
      servers.restart(leader)
      await passed(1_000)
      isOver = true
      await appending
      assert.deepEqual(driver.failures, [])

      const read = recordsOf()
      const reader = await replicaOf('killed', read.listener)
      const all = driver.records.map((_, number) => number)
      await reader.caughtUp()
      assert.deepEqual(read.numbers, all)
      await follower.caughtUp()
      assert.deepEqual(followed.numbers, all)
      await follower.close()
      await reader.verify((driver.log as ReplicatedLog).lastCommitted)
      await reader.close()
      await driver.log.close()
    })

    it('tells who follows at leisure of all frames, in fewer deliveries', { timeout: 60_000 }, async () => {
      const followMs = 200
      const driver = new LogDriver(await ownerOf('leisure'))
      const followed = recordsOf()
      const follower = await replicaOf('leisure', followed.listener, followMs)
      const manager = await jetstreamManager(await servers.connect())
      /** Pulls of the follower that are not answered yet. */
      const waiting = async (): Promise<number> => {
        const [consumer] = await manager.consumers.list('test-log-leisure').next()
        return consumer?.num_waiting ?? -1
      }
      const deliveries: number[] = []
      const begun = performance.now()
      for (let number = 0; number < 300; number++) {
        driver.append(recordBytes(number, 300))
        await driver.settle()
        if (followed.numbers.length !== (deliveries.at(-1) ?? 0)) deliveries.push(followed.numbers.length)
      }
      await follower.caughtUp()
      assert.deepEqual(
        followed.numbers,
        driver.records.map((_, number) => number),
      )
      // One each `followMs`, and as many again where one comes in two parts.
      const most = 10 + (2 * (performance.now() - begun)) / followMs
      assert.ok(deliveries.length < most, `300 frames were seen to come in ${deliveries.length} deliveries of ${most}`)
      // Quiet: it waits for the next frame without asking, and is told of that one at once.
      while ((await waiting()) !== 1) await passed(20)
      const since = performance.now()
      driver.append(recordBytes(300, 300))
      await driver.settle()
      await follower.caughtUp()
      assert.ok(performance.now() - since < 5_000)
      assert.equal(followed.numbers.length, 301)
      await follower.close()
      await driver.log.close()
    })

    it('catches up at leisure as fast as ever', { timeout: 60_000 }, async () => {
      const driver = new LogDriver(await ownerOf('late'))
      for (let number = 0; number < 2_500; number++) {
        driver.append(recordBytes(number, 300))
        if (number % 10 === 0) await driver.settle()
      }
      await driver.settle()
      const read = recordsOf()
      const replica = await replicaOf('late', read.listener, 200)
      await replica.caughtUp()
      assert.equal(read.numbers.length, 2_500)
      const second = new LogDriver(await replica.takeOver(5))
      second.append(recordBytes(1, 10))
      await second.settle()
      await second.log.close()
      await replica.close()
      // It was deposed.
      await driver.log.close().catch(() => undefined)
    })

    it('goes on through a pause of the leader that is longer than an append waits', { timeout: 60_000 }, async () => {
      const driver = new LogDriver(await ownerOf('paused'))
      const manager = await jetstreamManager(await servers.connect())
      const leader = servers.indexOf((await manager.streams.info('test-log-paused')).cluster?.leader ?? '')
      driver.append(recordBytes(0, 300))
      await driver.settle()
      servers.pause(leader)
      driver.append(recordBytes(1, 300))
      await passed(2_500)
      servers.goOn(leader)
      await driver.settle()
      driver.append(recordBytes(2, 300))
      await driver.settle()
      assert.equal((await replayedAll(driver.log)).length, 3)
      await driver.log.close()
    })

    it('deposes an owner when another takes the log, and loses nothing that either confirmed', async () => {
      const first = new LogDriver(await ownerOf('taken'))
      for (let number = 0; number < 200; number++) first.append(recordBytes(number, 1_000))
      await first.settle()
      const replica = await replicaOf('taken')
      const begun = performance.now()
      await replica.caughtUp()
      const second = new LogDriver(await replica.takeOver(5))
      assert.ok(performance.now() - begun < 5_000)
      first.append(recordBytes(1_000, 10))
      await first.settle()
      assert.ok(first.failures[0] instanceof LogDeposed)
      second.append(recordBytes(200, 10))
      await second.settle()
      assert.deepEqual(
        (await replayedAll(second.log)).map(({ bytes }) => bytes[0]),
        Array.from({ length: 201 }, (_, number) => number),
      )
      await first.log.close()
      await second.log.close()
      await replica.close()
    })

    it('notices that the stream has lost what was known to be committed', async () => {
      const driver = new LogDriver(await ownerOf('lost'))
      driver.append(recordBytes(1, 10))
      await driver.settle()
      const { ordinal, chain } = (driver.log as ReplicatedLog).lastCommitted
      await assert.rejects((driver.log as ReplicatedLog).verify({ ordinal: ordinal + 1, chain }), LogWentBack)
      await assert.rejects((driver.log as ReplicatedLog).verify({ ordinal, chain: chain ^ 1 }), LogWentBack)
      await driver.log.close()
    })

    it('refuses a stream whose settings do not keep what is promised', async () => {
      const manager = await jetstreamManager(await servers.connect())
      await streams.open('unfit', settings)
      await manager.streams.update('test-log-unfit', { num_replicas: 1 })
      await assert.rejects(streams.open('unfit', settings), /num_replicas is 1 and has to be 3/)
      await manager.streams.add({
        name: 'test-log-async',
        subjects: ['test.log.async'],
        persist_mode: PersistMode.Async,
      })
      await assert.rejects(streams.open('async', { ...settings, replicas: 1 }), /persist_mode is async/)
    })

    it('keeps a stream for each AMQP stream, up to a limit', async () => {
      const options = { ...world, streams, settings, home: 'shard-3', root: join(root, 'streams'), streamsMax: 2 }
      const logs = new ReplicatedStreamLogs(options)
      const driver = new LogDriver(await logs.open(7, 1024 * kibi))
      driver.append(recordBytes(1, 10))
      await driver.log.close()
      await (await logs.open(8, 1024 * kibi)).close()
      await assert.rejects(logs.open(9, 1024 * kibi), TooManyStreams)
      assert.deepEqual((await logs.list()).sort(), [7, 8])
      await logs.remove(8)
      const again = await logs.open(7, 1024 * kibi)
      assert.equal((await replayedAll(again)).length, 1)
      await again.close()
      await logs.remove(7)
      assert.deepEqual(await logs.list(), [])
    })
  })
}

/** Hears the numbers that records begin with. */
function recordsOf(): { readonly numbers: number[]; readonly listener: ReplicaListener } {
  const numbers: number[] = []
  const listener: ReplicaListener = {
    record: (_position, buffer, start) => {
      numbers.push(new DataView(buffer.buffer, buffer.byteOffset + start).getUint32(0, true))
    },
    failed: (error) => assert.fail(error),
  }
  return { numbers, listener }
}

function passed(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
