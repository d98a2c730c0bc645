/** Streams on a server that has room for 4 GB: what is asked for and not there is not a reason to refuse, up to a point. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { SystemClock } from '../../src/base/clock.ts'
import { SystemRandom } from '../../src/base/random.ts'
import { StreamUnfit } from '../../src/log/jetstream/frame-stream.ts'
import { openNatsStreams, streamBytesMin } from '../../src/log/jetstream/nats-streams.ts'
import { NatsServers, natsServerPath } from '../support/nats/nats-servers.ts'

const program = natsServerPath()
const settings = { replicas: 1, bytesMax: 64 * 1024 ** 3 } as const

if (program === null) it('is not tested here: there is no nats-server (NATS_SERVER, the path, /opt/nats)', () => {})
else
  it('gives each stream what fits, keeps what it was given, and says when there is no room', async () => {
    const servers = await NatsServers.start(program, 1)
    try {
      const connection = await servers.connect()
      const world = { clock: new SystemClock(), random: new SystemRandom() }
      const streams = await openNatsStreams({ ...world, connection, prefix: 'room', replicas: 1 })
      for (const name of ['shard-0', 'shard-1', 'shard-2']) {
        assert.equal((await streams.open(name, settings)).bytesMax, streamBytesMin)
        assert.equal((await streams.open(name, settings)).bytesMax, streamBytesMin, 'and again')
      }
      let made = 3
      await assert.rejects(
        async () => {
          for (; made < 16; made++) await streams.open(`shard-${made}`, settings)
        },
        (error: Error) => {
          assert.ok(error instanceof StreamUnfit)
          assert.match(error.message, /no room for the stream 'room-log-shard-\d+', which needs 256 MiB; raise/)
          return true
        },
      )
      assert.ok(made >= 8, `only ${made} streams`)
    } finally {
      await servers.stop()
    }
  })
