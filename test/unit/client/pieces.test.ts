import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { targetOf } from '../../../src/client/address.ts'
import { bytesCodec, codecOf, decodeBody, encodeBody, jsonCodec, textCodec } from '../../../src/client/codec.ts'
import { decompressed } from '../../../src/client/compression.ts'
import { channelClosed, connectFailed, connectionClosed, errorCodes, WarrenError } from '../../../src/client/errors.ts'
import { Fifo } from '../../../src/client/fifo.ts'
import { nodeCompression } from '../../../src/client/node-compression.ts'
import { settingsOf } from '../../../src/client/options.ts'
import { checked, type StandardSchema } from '../../../src/client/schema.ts'
import { webCompression } from '../../../src/client/web-compression.ts'

describe('a broker URL', () => {
  const settings = { name: 'n', heartbeatSeconds: 5 }
  const target = (url: string) => targetOf(url, settings)

  it('is read as RabbitMQ reads it', () => {
    const full = target('amqp://us%40er:p%2Fw@host:1234/v%2fh')
    assert.deepEqual(
      [full.host, full.port, full.username, full.password, full.vhost, full.label],
      ['host', 1234, 'us@er', 'p/w', 'v/h', 'amqp://host:1234'],
    )
    const short = target('amqps://host')
    assert.deepEqual(
      [short.protocol, short.port, short.username, short.password, short.vhost],
      ['amqps', 5671, 'guest', 'guest', '/'],
    )
    assert.equal(target('amqp://h/').vhost, '/')
    assert.equal(target('amqp://h/%2f').vhost, '/')
    assert.equal(target('amqp://[::1]:5').host, '::1')
  })

  it('has its vhost in the query when it is one of WebSockets', () => {
    const web = target('wss://user:secret@host/amqp/path?vhost=prod')
    assert.deepEqual([web.port, web.vhost, web.username], [443, 'prod', 'user'])
    assert.equal(web.url, 'wss://host/amqp/path?vhost=prod')
  })

  it('is refused with a sentence that shows no password', () => {
    for (const url of [
      '',
      'x',
      'amqp',
      'http://h',
      'amqp://a:secret@h:x',
      'amqp://h/a/b',
      'amqp://h/%zz',
      `amqp://h/${'v'.repeat(256)}`,
    ]) {
      assert.throws(
        () => target(url),
        (error: unknown) => error instanceof WarrenError && error.code === 'BAD_URL' && !/secret/.test(error.message),
        url,
      )
    }
  })
})

describe('errors', () => {
  it('say what happened and what to do, for each way a connection can fail', () => {
    const cases: [WarrenError, string][] = [
      [connectFailed(Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), 'b'), 'CONNECT_REFUSED'],
      [
        connectFailed(new AggregateError([Object.assign(new Error('x'), { code: 'ECONNREFUSED' })]), 'b'),
        'CONNECT_REFUSED',
      ],
      [connectFailed(Object.assign(new Error('x'), { code: 'ENOTFOUND' }), 'b'), 'HOST_NOT_FOUND'],
      [connectFailed(Object.assign(new Error('x'), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' }), 'b'), 'TLS_FAILED'],
      [connectionClosed(403, 'ACCESS_REFUSED - Login was refused', 'b'), 'AUTHENTICATION_REFUSED'],
      [connectionClosed(530, 'NOT_ALLOWED - vhost x not found', 'b'), 'VHOST_NOT_FOUND'],
      [connectionClosed(320, 'CONNECTION_FORCED - shutdown', 'b'), 'CONNECTION_CLOSED'],
      [channelClosed(404, 'NOT_FOUND', 'it'), 'CHANNEL_CLOSED'],
      [channelClosed(406, 'PRECONDITION_FAILED - message size 9 is larger than max', 'it'), 'MESSAGE_TOO_LARGE'],
    ]
    for (const [error, code] of cases) {
      assert.equal(error.code, code)
      assert.ok(error instanceof Error && errorCodes.includes(error.code))
      assert.ok(error.mend.endsWith('.') && error.message.endsWith(error.mend), error.message)
    }
  })
})

describe('options', () => {
  it('have defaults, also where undefined is given', () => {
    assert.deepEqual(settingsOf({}), settingsOf({ connectTimeoutMs: undefined } as object))
    assert.equal(settingsOf({ reconnect: { maxMs: 500 } }).reconnect.initialMs, 100)
    assert.equal(settingsOf({ heartbeatSeconds: 0 }).heartbeatSeconds, 0)
  })

  it('are refused when they make no sense', () => {
    for (const options of [{ connectTimeoutMs: 0 }, { unconfirmedMax: Number.NaN }, { reconnect: { jitter: 2 } }]) {
      assert.throws(() => settingsOf(options), { code: 'BAD_OPTION' })
    }
  })
})

describe('a codec', () => {
  it('gives back what it was given', () => {
    for (const value of [null, 1, 'ä', [1, { a: [] }]]) {
      assert.deepEqual(jsonCodec.decode(jsonCodec.encode(value)), value)
    }
    assert.equal(textCodec.decode(textCodec.encode('😀')), '😀')
    assert.deepEqual(bytesCodec.decode(bytesCodec.encode(Uint8Array.of(1))), Uint8Array.of(1))
    assert.equal(codecOf(undefined), jsonCodec)
  })

  it('says by BAD_BODY what it cannot write or read', () => {
    const loop: unknown[] = []
    loop.push(loop)
    for (const value of [undefined, 1n, loop, () => 1]) {
      assert.throws(() => encodeBody(jsonCodec, value, 'it'), { code: 'BAD_BODY' })
    }
    for (const bytes of [Uint8Array.of(), Uint8Array.of(0xff), new TextEncoder().encode('{')]) {
      assert.throws(() => decodeBody(jsonCodec, bytes, 'it'), { code: 'BAD_BODY' })
    }
    assert.throws(() => encodeBody(codecOf('bytes'), 'text', 'it'), { code: 'BAD_BODY' })
  })
})

describe('compression', () => {
  const body = new TextEncoder().encode('abc'.repeat(5_000))

  for (const [name, compression] of Object.entries({ node: nodeCompression, web: webCompression })) {
    it(`gives back what it was given, up to its limit (${name})`, async () => {
      for (const encoding of compression.names) {
        const small = await compression.compress(encoding, body)
        assert.ok(small.length < body.length / 10)
        assert.deepEqual(
          new Uint8Array(await decompressed(compression, { encoding, body: small, bytesMax: 15_000 })),
          body,
        )
        await assert.rejects(async () => decompressed(compression, { encoding, body: small, bytesMax: 14_999 }), {
          code: 'MESSAGE_TOO_LARGE',
        })
      }
      assert.ok(compression.names.includes('gzip'))
    })

    it(`refuses what is no such data (${name})`, async () => {
      await assert.rejects(
        async () => decompressed(compression, { encoding: 'gzip', body: Uint8Array.of(1, 2, 3), bytesMax: 100 }),
        { code: 'BAD_BODY' },
      )
    })
  }

  it('leaves alone what names no compression it knows', () => {
    assert.equal(decompressed(nodeCompression, { encoding: undefined, body, bytesMax: 1 }), body)
    assert.equal(decompressed(nodeCompression, { encoding: 'br', body, bytesMax: 1 }), body)
  })
})

describe('a schema', () => {
  const schema = (issues: { message: string; path?: (string | { key: string })[] }[]): StandardSchema => ({
    '~standard': {
      version: 1,
      vendor: 'test',
      validate: () => (issues.length > 0 ? { issues } : { value: 'made of it' }),
    },
  })

  it('gives what the validator makes of a value, or its words', () => {
    assert.deepEqual(checked(schema([]), 1, 'it'), { value: 'made of it' })
    assert.deepEqual(checked(null, 1, 'it'), { value: 1 })
    const issues = [{ message: 'bad' }, { message: 'worse', path: ['a', { key: 'b' }] }]
    assert.throws(() => checked(schema(issues), 1, 'A message'), {
      code: 'SCHEMA_FAILED',
      issues: ['bad', 'a.b: worse'],
      message: /A message does not match its schema \(bad; a\.b: worse\)\./,
    })
  })
})

describe('first in, first out', () => {
  it('keeps the order over many thousands', () => {
    const fifo = new Fifo<number>()
    let next = 0
    for (let index = 0; index < 20_000; index++) {
      fifo.push(index)
      if (index % 3 === 2) assert.equal(fifo.shift(), next++)
      assert.equal(fifo.at(0), next)
    }
    assert.equal(fifo.length, 20_000 - next)
    assert.equal(fifo.takeAll()[0], next)
    assert.equal(fifo.shift(), undefined)
    assert.equal(fifo.length, 0)
  })
})
