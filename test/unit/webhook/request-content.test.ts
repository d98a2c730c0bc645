/** What a webhook sends: the signature against published values, and headers that nobody can break out of. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Properties } from '../../../src/amqp/content-header.ts'
import { tableOf } from '../../../src/amqp/field-table.ts'
import { restMs } from '../../../src/base/retry-after.ts'
import type { Webhook } from '../../../src/broker/topology/webhook.ts'
import type { Taken } from '../../../src/management/api/taken-message.ts'
import { headerText, requestContent } from '../../../src/webhook/request-content.ts'
import { signatureOf } from '../../../src/webhook/signature.ts'

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const other = `whsec_${Buffer.alloc(32, 7).toString('base64')}`

const webhook: Webhook = {
  kind: 'webhook',
  id: 1,
  home: { name: '/' } as Webhook['home'],
  stored: null,
  name: 'hook',
  queue: 'orders',
  url: 'https://shop.example/hook',
  caCertificates: null,
  user: 'anna',
  secret,
  previousSecret: null,
  concurrency: 1,
  timeoutMs: 1_000,
  bodyBytesMax: 1_000,
  headers: { authorization: 'Bearer x' },
  contentMode: 'binary',
  isEnabled: true,
  disabledReason: null,
}

const noProperties: Properties = {
  ...{ contentType: null, contentEncoding: null, headers: null, deliveryMode: null, priority: null },
  ...{ correlationId: null, replyTo: null, expiration: null, messageId: null, timestamp: null },
  ...{ type: null, userId: null, appId: null, clusterId: null },
}

const taken = (text: string | Uint8Array, properties: Partial<Properties> = {}, more: Partial<Taken> = {}): Taken => {
  const payload = Buffer.from(text)
  const facts = { isRedelivered: false, readyLeft: 0, bodyBytes: payload.length }
  return { exchange: 'e', routingKey: 'k', ...facts, payload, properties: { ...noProperties, ...properties }, ...more }
}

const content = (message: Taken, changes: Partial<Webhook> = {}) =>
  requestContent({ ...webhook, ...changes }, { taken: message, queueId: 9, sequence: 4 }, 1_614_265_330_999)

describe('a signature', () => {
  it('is that of the Standard Webhooks libraries', () => {
    const body = Buffer.from('{"test": 2432232314}')
    const signed = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body }
    assert.equal(signatureOf(signed, [secret]), 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
  })

  it('stands there for each of two secrets while one takes the place of the other', () => {
    const body = Buffer.from('{"test": 2432232314}')
    const signed = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body }
    const [first, second, ...rest] = signatureOf(signed, [other, secret]).split(' ')
    assert.equal(first, signatureOf(signed, [other]))
    assert.equal(second, 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
    assert.deepEqual(rest, [])
  })

  it('of a request holds its id, its time in seconds and its body', () => {
    const { headers, body } = content(taken('{"test": 2432232314}', { messageId: 'msg_p5jXN8AQM9LWM0D4loKWxJek' }))
    assert.equal(headers['webhook-timestamp'], '1614265330')
    assert.equal(headers['webhook-signature'], 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=')
    assert.equal(Buffer.from(body).toString(), '{"test": 2432232314}')
  })
})

describe('the id of a request', () => {
  it('is the same for every attempt at a message, with and without an id of its own', () => {
    assert.equal(content(taken('a')).headers['webhook-id'], 'msg_9_4')
    assert.equal(content(taken('a', {}, { isRedelivered: true })).headers['webhook-id'], 'msg_9_4')
    assert.equal(content(taken('a', { messageId: 'x' })).headers['webhook-id'], 'x')
  })

  it('has no points, which separate what is signed', () => {
    assert.equal(content(taken('a', { messageId: '1.2.%2E' })).headers['webhook-id'], '1%2E2%2E%252E')
  })
})

describe('the headers of a request', () => {
  it('say where the message comes from, and how often it has failed', () => {
    const counted = tableOf({ 'x-delivery-count': 3 })
    const properties = { headers: counted, messageId: 'm', timestamp: 17, type: 't', contentType: 'text/plain' }
    const { headers } = content(taken('a', properties, { isRedelivered: true }))
    assert.equal(headers['content-type'], 'text/plain')
    assert.equal(headers['authorization'], 'Bearer x')
    const own = Object.entries(headers).filter(([name]) => name.startsWith('warren-'))
    assert.deepEqual(Object.fromEntries(own), {
      'warren-webhook': 'hook',
      'warren-vhost': '/',
      'warren-queue': 'orders',
      'warren-exchange': 'e',
      'warren-routing-key': 'k',
      'warren-message-id': 'm',
      'warren-type': 't',
      'warren-timestamp': '17',
      'warren-redelivered': 'true',
      'warren-delivery-count': '3',
    })
  })

  it('cannot be ended by what a publisher wrote', () => {
    const evil = 'a\r\nx-admin: 1\r\n\r\nbody'
    const properties = {
      messageId: evil,
      correlationId: evil,
      type: evil,
      appId: evil,
      contentType: evil,
      contentEncoding: evil,
    }
    const { headers } = content(taken('a', properties, { routingKey: evil, exchange: evil }), {
      name: evil,
      queue: evil,
    })
    for (const [name, value] of Object.entries(headers)) assert.match(value, /^[\x20-\x7e]*$/, name)
    assert.equal(headers['content-type'], 'application/octet-stream')
    assert.equal(headers['content-encoding'], undefined)
    assert.equal(headers['warren-routing-key'], 'a%0D%0Ax-admin:%201%0D%0A%0D%0Abody')
    assert.doesNotThrow(() => new Headers(headers))
  })

  it('are percent-encoded so that every text can be read again', () => {
    for (const text of ['', 'plain', ' a b ', '100%', 'grün', '日本', '\u0000\u007f']) {
      assert.equal(decodeURIComponent(headerText(text)), text)
    }
    assert.equal(headerText('\udc80'), '%EF%BF%BD', 'a stray byte')
  })

  it('pass a trace on when it is in order', () => {
    const traceparent = `00-${'a1'.repeat(16)}-${'b2'.repeat(8)}-01`
    const passed = content(taken('a', { headers: tableOf({ traceparent, tracestate: 'x=1' }) })).headers
    assert.deepEqual([passed['traceparent'], passed['tracestate']], [traceparent, 'x=1'])
    const broken = content(
      taken('a', { headers: tableOf({ traceparent: `${traceparent}\r\nx: y`, tracestate: 'x=1' }) }),
    )
    assert.deepEqual([broken.headers['traceparent'], broken.headers['tracestate']], [undefined, undefined])
  })
})

describe('the body of a request', () => {
  it('in mode json is the message with its properties, text where it is text', () => {
    const text = content(taken('grün', { messageId: 'm' }), { contentMode: 'json' })
    assert.equal(text.headers['content-type'], 'application/json')
    assert.deepEqual(JSON.parse(Buffer.from(text.body).toString()), {
      ...{ vhost: '/', queue: 'orders', exchange: 'e', routing_key: 'k', redelivered: false },
      ...{ properties: { message_id: 'm' }, payload: 'grün', payload_encoding: 'string' },
    })
    const bytes = content(taken(new Uint8Array([0xff, 0])), { contentMode: 'json' })
    const { payload, payload_encoding: encoding } = JSON.parse(Buffer.from(bytes.body).toString()) as Record<
      string,
      unknown
    >
    assert.deepEqual([payload, encoding], ['/wA=', 'base64'])
  })
})

describe('retry-after', () => {
  it('is read as seconds or a date, and bounded', () => {
    const now = Date.parse('Sun, 22 Nov 2026 18:00:00 GMT')
    assert.equal(restMs('5', now), 5_000)
    assert.equal(restMs('0', now), 1_000)
    assert.equal(restMs('99999', now), 3_600_000)
    assert.equal(restMs('Sun, 22 Nov 2026 18:00:30 GMT', now), 30_000)
    assert.equal(restMs('Sun, 22 Nov 2026 17:00:30 GMT', now), 1_000)
    for (const text of [null, '', 'soon', '-1x']) assert.equal(restMs(text, now), null, String(text))
  })
})
