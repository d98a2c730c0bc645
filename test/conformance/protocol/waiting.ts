/** What needs real time: heartbeats and peers that say nothing. The sentences run side by side. */
import assert from 'node:assert/strict'
import type { RawClient } from '../../support/amqp/raw-client.ts'
import { protocolHeader } from '../../support/amqp/raw-client.ts'
import { frameHeartbeat, method } from '../../support/amqp/wire.ts'
import type { Sentences } from './sentences.ts'

export function waiting(sentences: Sentences): void {
  sentences.prove('a heartbeat comes when nothing was written for half the interval', async (stage) => {
    const client = await stage.client({ heartbeat: 4 })
    const started = Date.now()
    // It is looked at each half interval, and in the first one the handshake was written.
    await client.expect(0, 'heartbeat', 8_000)
    assert.ok(Date.now() - started < 5_900, `the first heartbeat came after ${Date.now() - started} ms`)
  })

  sentences.prove('a client that is silent for two to three heartbeat intervals is dropped', async (stage) => {
    const client = await stage.client({ heartbeat: 1 })
    const started = Date.now()
    await untilEnd(client)
    const ms = Date.now() - started
    assert.ok(ms >= 1_500 && ms < 5_000, `dropped after ${ms} ms`)
  })

  sentences.prove('any traffic counts as a sign of life, not only heartbeats', async (stage) => {
    const client = await stage.client({ heartbeat: 1 })
    await beat(8, 500, () => client.send(1, 'basic.qos'))
    await client.expectMany(1, 'basic.qos-ok', 8)
    await client.call(1, 'basic.qos')
  })

  sentences.prove('heartbeats of the client keep the connection', async (stage) => {
    const client = await stage.client({ heartbeat: 1 })
    await beat(8, 500, () => client.sendFrame(frameHeartbeat, 0, Buffer.alloc(0)))
    await client.call(1, 'basic.qos')
  })

  sentences.prove('heartbeat 0 means none in either direction', async (stage) => {
    const client = await stage.client({ heartbeat: 0 })
    await beat(1, 4_000, () => undefined)
    assert.deepEqual(client.waiting(0), [])
    await client.call(1, 'basic.qos')
  })

  sentences.prove('a peer that says nothing is dropped after about ten seconds', async (stage) => {
    const client = await stage.dial()
    await client.expect(0, 'end', 18_000)
  })

  sentences.prove('a peer that stops in the middle of its login is dropped after about ten seconds', async (stage) => {
    const client = await stage.dial()
    client.sendBytes(protocolHeader)
    await client.expect(0, 'connection.start')
    client.sendBytes(method(0, 'connection.start-ok', { mechanism: 'PLAIN' }).subarray(0, 12))
    await client.expect(0, 'end', 18_000)
  })
}

async function untilEnd(client: RawClient): Promise<void> {
  for (let one = await client.next(0); one.name !== 'end'; one = await client.next(0))
    assert.equal(one.name, 'heartbeat')
}

/** Real time passes here: these sentences are about nothing else. */
async function beat(times: number, everyMs: number, act: () => void): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    await new Promise((resolve) => setTimeout(resolve, everyMs))
    act()
  }
}
