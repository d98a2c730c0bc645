import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ByteWriter } from '../../../src/amqp/byte-writer.ts'
import { type FieldTable, tableOf } from '../../../src/amqp/field-table.ts'
import { encodeHeartbeat, protocolHeader, protocolHeader09 } from '../../../src/amqp/frame-encoder.ts'
import { type Method, Methods } from '../../../src/amqp/methods.generated.ts'
import { defaultServerLimits } from '../../../src/server/limits.ts'
import {
  channelOpen,
  connectionClose,
  type LoginOptions,
  type MemoryClient,
  queueDeclare,
  startOk,
  turns,
} from '../../support/memory-client.ts'
import { fakeHarness } from '../../support/server-harness.ts'

const loginFailureClose = { capabilities: { authentication_failure_close: true } }

function tuneOk(channelMax: number, frameMax: number, heartbeat = 0): Method {
  return { id: Methods.ConnectionTuneOk, name: 'connection.tune-ok', channelMax, frameMax, heartbeat }
}

function connectionOpen(virtualHost = '/'): Method {
  return { id: Methods.ConnectionOpen, name: 'connection.open', virtualHost }
}

/** A client that has been offered `connection.tune`. */
async function tuning(client: MemoryClient, options: LoginOptions = {}): Promise<MemoryClient> {
  client.bytes(protocolHeader)
  await client.next('connection.start')
  client.methods(0, startOk(options))
  await client.next('connection.tune')
  return client
}

describe('protocol header', () => {
  it('accepts 0-9-1, and 0-9 as if it were that, cut anywhere', async () => {
    for (const header of [protocolHeader, protocolHeader09]) {
      const client = fakeHarness().connect()
      for (const octet of header) {
        client.bytes(Uint8Array.of(octet))
        await turns(2)
      }
      const { method } = await client.next('connection.start')
      assert.deepEqual([method.versionMajor, method.versionMinor, method.locales], [0, 9, 'en_US'])
    }
  })

  it('answers any other header with its own and closes', async () => {
    for (const text of [
      'AMQP\x00\x01\x00\x00',
      'AMQP\x03\x01\x00\x00',
      'GET / HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01',
    ]) {
      const client = fakeHarness().connect()
      client.bytes(Buffer.from(text, 'latin1'))
      await client.closedByServer()
      assert.deepEqual(client.refusal, protocolHeader)
    }
  })
})

describe('connection.start', () => {
  it('names product, version and the capabilities clients look for', async () => {
    const client = fakeHarness().connect()
    client.bytes(protocolHeader)
    const { method } = await client.next('connection.start')
    const value = (table: FieldTable, key: string): unknown => table.fields.get(key)?.value
    assert.equal(value(method.serverProperties, 'product'), 'Warren')
    assert.match(String(value(method.serverProperties, 'version')), /^4\.\d+\.\d+$/)
    for (const key of ['platform', 'copyright', 'information', 'cluster_name']) {
      assert.equal(typeof value(method.serverProperties, key), 'string', key)
    }
    const capabilities = method.serverProperties.fields.get('capabilities')
    assert.ok(capabilities?.tag === 'F')
    const on = [...capabilities.value.fields].filter(([, field]) => field.value === true).map(([key]) => key)
    assert.deepEqual(on.sort(), [
      'authentication_failure_close',
      'basic.nack',
      'connection.blocked',
      'consumer_cancel_notify',
      'consumer_priorities',
      'direct_reply_to',
      'exchange_exchange_bindings',
      'per_consumer_qos',
      'publisher_confirms',
    ])
    assert.equal(method.mechanisms, 'PLAIN AMQPLAIN')
  })
})

describe('login', () => {
  it('opens the vhost for PLAIN and AMQPLAIN', async () => {
    const harness = fakeHarness()
    await harness.login()
    const client = harness.connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    const response = tableOf({ LOGIN: 'guest', PASSWORD: 'guest' }).bytes
    client.methods(0, { ...startOk(), mechanism: 'AMQPLAIN', response } as Method)
    await client.next('connection.tune')
    client.methods(0, tuneOk(2047, 131_072), connectionOpen())
    await client.next('connection.open-ok')
    assert.deepEqual(
      [...harness.server.connections].map(({ principal }) => principal?.username),
      ['guest', 'guest'],
    )
  })

  it('tells a client that can hear it why the login failed, after a while', async () => {
    const harness = fakeHarness()
    const client = harness.connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    client.methods(0, startOk({ ...loginFailureClose, password: 'wrong' }))
    await turns()
    harness.clock.advance(defaultServerLimits.failedLoginDelayMs - 1)
    assert.deepEqual(await client.names(), [])
    harness.clock.advance(1)
    const text =
      'ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.'
    await client.closesConnection(403, text)
    assert.ok(harness.log.every((line) => !line.includes('wrong')))
  })

  it('only closes the socket of a client that cannot', async () => {
    const harness = fakeHarness()
    const client = harness.connect('10.0.0.7')
    client.bytes(protocolHeader)
    await client.next('connection.start')
    client.methods(0, startOk())
    await turns()
    assert.equal(client.isClosed, false)
    harness.clock.advance(defaultServerLimits.failedLoginDelayMs)
    await client.closedByServer()
    assert.deepEqual(client.heard, [])
  })

  it('waits for a password that is checked elsewhere, with what was sent meanwhile', async () => {
    const harness = fakeHarness()
    harness.broker.holdsLogins = true
    const client = harness.connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    client.methods(0, startOk(), tuneOk(2047, 131_072), connectionOpen())
    client.methods(1, channelOpen)
    assert.deepEqual(await client.names(), [])
    harness.broker.releaseLogins()
    assert.deepEqual(await client.names(), ['connection.tune', 'connection.open-ok', '1 channel.open-ok'])
  })

  it('forgets a login whose client has gone', async () => {
    const harness = fakeHarness()
    harness.broker.holdsLogins = true
    const client = harness.connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    client.methods(0, startOk())
    await turns()
    client.socket.destroy()
    await turns()
    harness.broker.releaseLogins()
    await turns()
    assert.deepEqual([harness.server.connections.size, harness.broker.closedSessions], [0, []])
  })

  it('refuses an unknown mechanism (503) and a response that makes no sense (502)', async () => {
    const wrong: [Partial<Record<string, unknown>>, number, RegExp][] = [
      [{ mechanism: 'EXTERNAL' }, 503, /^COMMAND_INVALID - unknown authentication mechanism 'EXTERNAL'$/],
      [{ response: Buffer.from('guest') }, 502, /^SYNTAX_ERROR - /],
      [{ response: Buffer.from('other\0guest\0guest') }, 502, /^SYNTAX_ERROR - /],
      [{ mechanism: 'AMQPLAIN', response: tableOf({ LOGIN: 'guest' }).bytes }, 502, /^SYNTAX_ERROR - /],
    ]
    for (const [change, code, text] of wrong) {
      const client = fakeHarness().connect()
      client.bytes(protocolHeader)
      await client.next('connection.start')
      client.methods(0, { ...startOk(), ...change } as Method)
      await client.closesConnection(code, text)
    }
  })
})

describe('tune', () => {
  it('offers 131072, 2047 and 60', async () => {
    const client = fakeHarness().connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    client.methods(0, startOk())
    const { method } = await client.next('connection.tune')
    assert.deepEqual([method.frameMax, method.channelMax, method.heartbeat], [131_072, 2_047, 60])
  })

  it('takes frames from 4096 up', async () => {
    const client = await tuning(fakeHarness().connect())
    client.methods(0, tuneOk(1, 4096), connectionOpen())
    await client.next('connection.open-ok')
  })

  it('refuses what is out of bounds, and no limit at all (530)', async () => {
    const refused: [Method, string][] = [
      [tuneOk(2047, 4095), 'negotiated frame_max = 4095 is lower than the minimum allowed value (4096)'],
      [tuneOk(2047, 131_073), 'negotiated frame_max = 131073 is higher than the maximum allowed value (131072)'],
      [tuneOk(2047, 0), 'negotiated frame_max = 0 is higher than the maximum allowed value (131072)'],
      [tuneOk(2048, 4096), 'negotiated channel_max = 2048 is higher than the maximum allowed value (2047)'],
      [tuneOk(0, 4096), 'negotiated channel_max = 0 is higher than the maximum allowed value (2047)'],
    ]
    for (const [method, text] of refused) {
      const client = await tuning(fakeHarness().connect())
      client.methods(0, method)
      await client.closesConnection(530, `NOT_ALLOWED - ${text}`)
    }
  })
})

describe('connection.open', () => {
  it('says why a vhost cannot be opened (530)', async () => {
    const refused: [string, string][] = [
      ['nowhere', 'NOT_ALLOWED - vhost nowhere not found'],
      ['forbidden', "NOT_ALLOWED - access to vhost 'forbidden' refused for user 'guest'"],
    ]
    for (const [vhost, text] of refused) {
      const client = await tuning(fakeHarness().connect())
      client.methods(0, tuneOk(2047, 131_072), connectionOpen(vhost))
      await client.closesConnection(530, text)
    }
  })

  it('takes everything in one packet', async () => {
    const client = fakeHarness().connect()
    client.bytes(protocolHeader)
    client.methods(0, startOk(), tuneOk(2047, 131_072), connectionOpen())
    client.methods(1, channelOpen, queueDeclare('q'))
    const heard = await client.names()
    assert.deepEqual(heard.slice(-3), ['connection.open-ok', '1 channel.open-ok', '1 queue.declare-ok'])
  })
})

describe('before the connection is open', () => {
  it('refuses methods out of order (504) and frames of channels (505)', async () => {
    const client = fakeHarness().connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    client.methods(0, connectionOpen())
    await client.closesConnection(504, 'CHANNEL_ERROR - unexpected method in connection state start')
    const other = await tuning(fakeHarness().connect())
    other.methods(1, channelOpen)
    await other.closesConnection(505, /^UNEXPECTED_FRAME - /)
  })

  it('refuses a frame above 8 KiB from its header alone (501)', async () => {
    const client = fakeHarness().connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    client.bytes(Uint8Array.of(1, 0, 0, 0, 0, 0x20, 0x01))
    const { method } = await client.next('connection.close')
    assert.equal(method.replyCode, 501)
    await client.closedByServer()
  })

  it('lets heartbeats pass and answers a close', async () => {
    const client = await tuning(fakeHarness().connect())
    const writer = new ByteWriter()
    encodeHeartbeat(writer)
    client.bytes(writer.copy())
    client.methods(0, connectionClose)
    await client.next('connection.close-ok')
    await client.closedByServer()
  })

  it('closes what has not logged in after ten seconds or 64 KiB', async () => {
    const harness = fakeHarness()
    const slow = await tuning(harness.connect())
    await turns()
    harness.clock.advance(defaultServerLimits.handshakeMsMax - 1)
    await turns()
    assert.equal(slow.isClosed, false)
    harness.clock.advance(1)
    await slow.closedByServer()
    harness.broker.holdsLogins = true
    const talkative = harness.connect()
    talkative.bytes(protocolHeader)
    await talkative.next('connection.start')
    talkative.methods(0, startOk())
    for (let sent = 0; sent < 10; sent++) {
      talkative.bytes(new Uint8Array(8 * 1024))
      await turns(2)
    }
    // Input waits for the login, so the rest may sit in the pipe: it is read when the login has been refused.
    harness.clock.advance(defaultServerLimits.handshakeMsMax)
    await talkative.closedByServer()
  })

  it('reads at most 64 KiB of garbage heartbeats from a stranger', async () => {
    const harness = fakeHarness()
    const client = harness.connect()
    client.bytes(protocolHeader)
    await client.next('connection.start')
    const beat = new ByteWriter()
    for (let count = 0; count < 1024; count++) encodeHeartbeat(beat)
    for (let sent = 0; sent < 9 && !client.isClosed; sent++) {
      client.bytes(beat.copy())
      await turns(4)
    }
    await client.closedByServer()
    assert.ok(harness.log.some((line) => line.includes('65536 bytes before login')))
  })
})

describe('limits of connections', () => {
  it('refuses more strangers than may be, from one address and in total, and more connections than may be', async () => {
    const limits = { connectionsMax: 5, unauthenticatedMax: 3, unauthenticatedPerAddressMax: 2 }
    const harness = fakeHarness(limits)
    const first = harness.connect('10.0.0.1')
    harness.connect('10.0.0.1')
    const tooMany = harness.connect('10.0.0.1')
    await tooMany.closedByServer()
    harness.connect('10.0.0.2')
    await harness.connect('10.0.0.3').closedByServer()
    first.socket.destroy()
    await turns()
    const local = await harness.login()
    assert.equal(local.isClosed, false)
    await harness.login()
    await harness.login()
    await harness.connect().closedByServer()
    assert.equal(harness.server.connections.size, 5)
  })
})
