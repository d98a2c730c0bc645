import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Arena } from '../../../src/base/arena.ts'
import { SystemClock } from '../../../src/base/clock.ts'
import { MemoryNetwork } from '../../../src/base/memory-network.ts'
import {
  headroomBytes,
  isLoopbackAddress,
  type Listener,
  type Network,
  plainAddress,
  readBufferBytes,
  readBytesMax,
  type Socket,
} from '../../../src/base/network.ts'
import { SystemNetwork } from '../../../src/base/system-network.ts'

/** One end of a connection that keeps what it reads. */
class End {
  readonly socket: Socket
  readonly chunks: Uint8Array[] = []
  readonly #waiting: (() => void)[] = []
  bytesRead = 0
  isEnded = false
  isClosed = false
  error: Error | null = null

  constructor(socket: Socket) {
    this.socket = socket
    socket.open({
      data: (buffer, start, end) => {
        assert.ok(start >= headroomBytes && end <= buffer.length && end - start <= readBytesMax)
        // The room in front is ours during the call.
        buffer.fill(0xff, start - headroomBytes, start)
        this.chunks.push(buffer.slice(start, end))
        this.bytesRead += end - start
        this.#tell()
      },
      ended: () => {
        this.isEnded = true
        this.#tell()
      },
      closed: (error) => {
        this.isClosed = true
        this.error = error
        this.#tell()
      },
    })
  }

  get text(): string {
    return Buffer.concat(this.chunks).toString()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await new Promise<void>((resolve) => this.#waiting.push(resolve))
  }

  write(bytes: Uint8Array | string): Promise<Error | null> {
    return new Promise((resolve) => this.socket.write(Buffer.from(bytes as string), resolve))
  }

  #tell(): void {
    for (const resolve of this.#waiting.splice(0)) resolve()
  }
}

interface Pair {
  readonly client: End
  readonly server: End
  readonly listener: Listener
}

async function connected(network: Network): Promise<Pair> {
  let accepted: ((socket: Socket) => void) | null = null
  const arrival = new Promise<Socket>((resolve) => {
    accepted = resolve
  })
  const listener = await network.listen({ host: '127.0.0.1', port: 0 }, (socket) => accepted?.(socket))
  const near = await network.connect('127.0.0.1', listener.port)
  return { client: new End(near), server: new End(await arrival), listener }
}

const networks: [string, () => Network][] = [
  ['shared buffer', () => new SystemNetwork()],
  ['events', () => new SystemNetwork(new Arena(readBufferBytes), 'events')],
  ['memory', () => new MemoryNetwork(new SystemClock())],
]

for (const [name, make] of networks) {
  describe(`network: ${name}`, () => {
    it('carries bytes both ways, in order, large ones too', async () => {
      const { client, server, listener } = await connected(make())
      const sent = Buffer.from(Array.from({ length: 3_000_000 }, (_, index) => index % 251))
      assert.equal(await server.write('hello'), null)
      await client.until(() => client.bytesRead === 5)
      const [written] = await Promise.all([client.write(sent), server.until(() => server.bytesRead === sent.length)])
      assert.equal(written, null)
      assert.ok(Buffer.concat(server.chunks).equals(sent))
      assert.equal(client.text, 'hello')
      client.socket.destroy()
      await server.until(() => server.isEnded || server.isClosed)
      server.socket.destroy()
      await server.until(() => server.isClosed)
      listener.close()
    })

    it('reads nothing while it is paused, and all of it afterwards', async () => {
      const { client, server, listener } = await connected(make())
      server.socket.pause()
      let isTaken = false
      const sent = Buffer.alloc(32_000_000, 7)
      const writing = client.write(sent).then(() => {
        isTaken = true
      })
      // Something the other way makes sure that there was time for it to arrive.
      for (let round = 0; round < 20; round++) {
        await server.write('x')
        await client.until(() => client.bytesRead > round)
      }
      const early = server.bytesRead
      assert.ok(early <= 2 * readBytesMax && !isTaken, `${early} bytes were read`)
      server.socket.resume()
      await server.until(() => server.bytesRead === sent.length)
      await writing
      server.socket.destroy()
      client.socket.destroy()
      await client.until(() => client.isClosed)
      listener.close()
    })

    it('says when the peer has ended, and still writes to it', async () => {
      const { client, server, listener } = await connected(make())
      await client.write('last words')
      client.socket.end()
      await server.until(() => server.isEnded)
      assert.equal(server.text, 'last words')
      assert.equal(await server.write('answer'), null)
      await client.until(() => client.bytesRead === 6)
      server.socket.end()
      await client.until(() => client.isEnded || client.isClosed)
      client.socket.destroy()
      server.socket.destroy()
      await Promise.all([client.until(() => client.isClosed), server.until(() => server.isClosed)])
      listener.close()
    })

    it('calls back every write, with an error once the socket is gone', async () => {
      const { client, server, listener } = await connected(make())
      server.socket.pause()
      const writes = Array.from({ length: 40 }, () => client.write(Buffer.alloc(1_000_000)))
      client.socket.destroy()
      const errors = await Promise.all(writes)
      assert.ok(errors.some((error) => error !== null))
      assert.ok((await client.write('more')) instanceof Error)
      await client.until(() => client.isClosed)
      server.socket.destroy()
      await server.until(() => server.isClosed)
      listener.close()
    })

    it('does not accept after the listener has closed, and keeps what was accepted', async () => {
      const network = make()
      const { client, server, listener } = await connected(network)
      listener.close()
      await assert.rejects(network.connect('127.0.0.1', listener.port), { code: 'ECONNREFUSED' })
      await client.write('still here')
      await server.until(() => server.bytesRead === 10)
      assert.ok(isLoopbackAddress(server.socket.remoteAddress))
      assert.equal(server.socket.localPort, listener.port)
      client.socket.destroy()
      server.socket.destroy()
      await server.until(() => server.isClosed)
    })

    it('refuses to listen where somebody listens', async () => {
      const network = make()
      const listener = await network.listen({ host: '127.0.0.1', port: 0 }, () => {})
      await assert.rejects(
        network.listen({ host: '127.0.0.1', port: listener.port }, () => {}),
        { code: 'EADDRINUSE' },
      )
      listener.close()
    })
  })
}

describe('addresses', () => {
  it('are IPv4 where they are IPv4, and loopback only where they are', () => {
    assert.equal(plainAddress('::ffff:10.1.2.3'), '10.1.2.3')
    assert.equal(plainAddress('::ffff:1'), '::ffff:1')
    const local = ['127.0.0.1', '127.8.9.1', '::1', '::ffff:127.0.0.1']
    const foreign = ['10.0.0.1', '128.0.0.1', '::2', '::ffff:10.0.0.1', '', '127.0.0.1.example']
    assert.deepEqual(
      local.map(isLoopbackAddress),
      local.map(() => true),
    )
    assert.deepEqual(
      foreign.map(isLoopbackAddress),
      foreign.map(() => false),
    )
  })
})
