import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ManualClock } from '../../../../src/base/clock.ts'
import { AmqpClientDriver } from '../../../../src/client/driver/amqp-client-driver.ts'
import {
  openWebSocket,
  type WebSocketEvent,
  type WebSocketLike,
} from '../../../../src/client/driver/web-socket-dial.ts'
import { ScriptedBroker } from './scripted-broker.ts'

/** A browser's WebSocket with a broker behind it that sends a few bytes per message. */
class FakeWebSocket implements WebSocketLike {
  binaryType = ''
  isClosed = false
  readonly sent: Uint8Array[] = []
  readonly broker = new ScriptedBroker()
  readonly #listeners: { type: string; listener: (event: WebSocketEvent) => void }[] = []

  constructor() {
    this.broker.open({
      data: (bytes) => {
        for (let at = 0; at < bytes.length; at += 3) {
          this.fire('message', { data: Uint8Array.from(bytes.subarray(at, at + 3)).buffer })
        }
      },
      closed: () => this.fire('close', { code: 1006 }),
    })
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes)
    this.broker.write(bytes)
  }

  close(): void {
    this.isClosed = true
  }

  addEventListener(type: string, listener: (event: WebSocketEvent) => void): void {
    this.#listeners.push({ type, listener })
  }

  fire(type: string, event: WebSocketEvent = {}): void {
    for (const one of this.#listeners) if (one.type === type) one.listener(event)
  }
}

const target = {
  protocol: 'ws',
  host: 'h',
  port: 1,
  url: 'ws://h/',
  vhost: '/',
  username: 'u',
  password: 'p',
  connectionName: 'test',
  heartbeatSeconds: 10,
  label: 'ws://h:1',
} as const

async function connected() {
  const socket = new FakeWebSocket()
  const driver = new AmqpClientDriver({
    clock: new ManualClock(),
    dial: (_target, signal) => {
      const opening = openWebSocket(socket, signal)
      socket.fire('open')
      return opening
    },
  })
  const ends: (string | null)[] = []
  const events = { closed: (error: Error | null) => ends.push(error?.message ?? null), blocked() {}, unblocked() {} }
  const connection = await driver.connect(target, events, new AbortController().signal)
  return { socket, connection, ends }
}

describe('a WebSocket', () => {
  it('carries a connection, cut anywhere, and whole frames the other way', async () => {
    const { socket, connection } = await connected()
    assert.equal(socket.binaryType, 'arraybuffer')
    assert.equal(connection.product, 'Warren')
    for (const bytes of socket.sent.slice(1)) assert.equal(bytes[bytes.length - 1], 0xce)
  })

  it('that closes ends the connection, once', async () => {
    const { socket, ends } = await connected()
    socket.fire('error')
    socket.fire('close', { code: 1006 })
    assert.equal(ends.length, 1)
    assert.match(ends[0] ?? '', /WebSocket/)
  })

  it('ends for text, which is no AMQP', async () => {
    const { socket, ends } = await connected()
    socket.fire('message', { data: 'hello there' })
    assert.equal(ends.length, 1)
    assert.equal(socket.isClosed, true)
  })

  it('that does not open rejects, and so does one that takes too long', async () => {
    const failing = new FakeWebSocket()
    const opening = openWebSocket(failing, new AbortController().signal)
    failing.fire('error', { message: 'no such host' })
    await assert.rejects(opening, /no such host/)
    const abort = new AbortController()
    const slow = openWebSocket(new FakeWebSocket(), abort.signal)
    abort.abort(new Error('too long'))
    await assert.rejects(slow, /too long/)
  })
})
