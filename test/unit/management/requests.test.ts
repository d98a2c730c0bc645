/** What comes in: bodies, paths, headers, and what is refused of them, in RabbitMQ's form and without a trace of the inside. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { waitingPerAddressMax } from '../../../src/management/api/login.ts'
import { routes } from '../../../src/management/api/routes.ts'
import { ApiHarness } from './api-harness.ts'

describe('bodies', () => {
  it('refuses what is no JSON object', async () => {
    const api = await ApiHarness.open()
    for (const raw of ['{x', '[1]', '"text"', '1', 'null', new Uint8Array([0xff, 0x7b])]) {
      assert.deepEqual(await api.refusal('PUT', '/api/queues/%2F/q', { raw }), [400, 'bad_request', 'not_json'])
    }
    assert.equal(api.broker.topology.vhosts.get('/')?.queues.size, 0)
  })

  it('says what is missing as RabbitMQ does', async () => {
    const api = await ApiHarness.open()
    const { reason } = (await api.send('PUT', '/api/permissions/%2F/management', { body: {} })).json as {
      reason: string
    }
    assert.equal(reason, '[{key_missing,configure},{key_missing,write},{key_missing,read}]')
    const [, , publish] = await api.refusal('POST', '/api/exchanges/%2F/amq.topic/publish', {
      body: { routing_key: 'a' },
    })
    assert.equal(publish, '[{key_missing,properties},\n {key_missing,payload},\n {key_missing,payload_encoding}]')
  })

  it('refuses values of another type, and does nothing then', async () => {
    const api = await ApiHarness.open()
    await api.json('PUT', '/api/queues/%2F/there', {})
    const before = await api.json('GET', '/api/definitions')
    const wrong: readonly (readonly [method: string, path: string, body: object])[] = [
      ['PUT', '/queues/%2F/q', { durable: 'x' }],
      ['PUT', '/queues/%2F/q', { durable: 1 }],
      ['PUT', '/queues/%2F/q', { arguments: 5 }],
      ['PUT', '/queues/%2F/q', { arguments: { 'x-max-length': -1 } }],
      ['PUT', '/queues/%2F/q', { arguments: { ['k'.repeat(256)]: 1 } }],
      ['PUT', '/exchanges/%2F/e', { type: 5 }],
      ['PUT', '/exchanges/%2F/e', { type: 'nope' }],
      ['POST', '/bindings/%2F/e/amq.topic/q/there', { routing_key: 5 }],
      ['POST', '/bindings/%2F/e/amq.topic/q/there', { routing_key: 'k'.repeat(256) }],
      ['PUT', '/users/u', { password: 5, tags: '' }],
      ['PUT', '/users/u', { password: '', tags: '' }],
      ['PUT', '/users/u', { password: 'x' }],
      ['PUT', '/users/u', { password: 'x', tags: 5 }],
      ['PUT', '/users/u', { password: 'x', tags: [5] }],
      ['PUT', '/users/u', { password_hash: 'zz', tags: '' }],
      ['PUT', '/users/u', { password_hash: '', hashing_algorithm: 5, password: 'x', tags: '' }],
      ['PUT', '/permissions/%2F/management', { configure: '(', write: '', read: '' }],
      ['PUT', '/permissions/%2F/management', { configure: 5, write: '', read: '' }],
      ['PUT', '/permissions/%2F/none', { configure: '', write: '', read: '' }],
      ['PUT', '/permissions/none/management', { configure: '', write: '', read: '' }],
      ['PUT', '/policies/%2F/p', { pattern: '(', definition: {} }],
      ['PUT', '/policies/%2F/p', { pattern: 'x', definition: { nope: 1 } }],
      ['PUT', '/policies/%2F/p', { pattern: 'x', definition: { 'max-length': 1 }, priority: 'x' }],
      ['PUT', '/policies/%2F/p', { pattern: 'x', definition: { 'max-length': 1 }, 'apply-to': 'cars' }],
      ['PUT', '/vhost-limits/%2F/nope', { value: 1 }],
      ['PUT', '/vhost-limits/%2F/max-queues', { value: 1.5 }],
      ['PUT', '/vhosts/v', { default_queue_type: 'nope' }],
      ['PUT', '/vhosts/v', { tags: 5 }],
      ['PUT', `/vhosts/${'v'.repeat(256)}`, {}],
      ['PUT', '/vhosts/v', { description: 'd'.repeat(20_000) }],
      ['PUT', '/users/u', { password: 'x', tags: ['t'.repeat(256)] }],
      ['PUT', '/users/u', { password: 'x', tags: Array.from({ length: 33 }, () => 't') }],
      ['PUT', '/topic-permissions/%2F/management', { exchange: 'x'.repeat(300_000), write: '', read: '' }],
      ['PUT', '/policies/%2F/p', { pattern: 'x', definition: { 'dead-letter-exchange': 'x'.repeat(300_000) } }],
      ['PUT', '/queues/%2F/q', { durable: true, arguments: { a: 'x'.repeat(300_000) } }],
      [
        'PUT',
        '/queues/%2F/q',
        { arguments: Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`k${at}`, 1])) },
      ],
      ['PUT', '/queues/%2F/q', { arguments: nested(40) }],
      ['PUT', '/parameters/shovel/%2F/s', { value: {} }],
      ['POST', '/definitions', { queues: [{ name: 1 }] }],
      ['POST', '/definitions', { queues: 5 }],
    ]
    for (const [method, path, body] of wrong) {
      const [status, error, reason] = await api.refusal(method, `/api${path}`, { body })
      assert.deepEqual(
        [status, error],
        [400, 'bad_request'],
        `${method} ${path} ${JSON.stringify(body)}: ${String(reason)}`,
      )
      assert(typeof reason === 'string' && reason !== '' && !/\bat \w+.*:\d+/.test(reason), String(reason))
    }
    assert.deepEqual(await api.json('GET', '/api/definitions'), before)
    assert.deepEqual(api.errors, [])
  })

  it('takes no key for one of its own language', async () => {
    const api = await ApiHarness.open()
    const raw = '{"__proto__":{"durable":true},"constructor":1,"arguments":{"__proto__":{"x":1}}}'
    const { status } = await api.send('PUT', '/api/queues/%2F/q', { raw })
    assert.equal(status, 201)
    assert.equal(({} as { x?: number }).x, undefined)
    const queue = (await api.json('GET', '/api/queues/%2F/q')) as { durable: boolean }
    assert.equal(queue.durable, false)
  })

  it('reads no more than it may', async () => {
    const api = await ApiHarness.open()
    const announced = await api.send('PUT', '/api/queues/%2F/q', {
      raw: '{}',
      headers: { 'content-length': String(1024 * 1024 + 1) },
    })
    assert.equal(announced.status, 413)
    let pulled = 0
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled++
        controller.enqueue(new Uint8Array(64 * 1024).fill(0x20))
      },
    })
    const got = await api.send('PUT', '/api/queues/%2F/q', {
      raw: endless,
      headers: { 'transfer-encoding': 'chunked' },
    })
    assert.equal(got.status, 413)
    assert.equal(got.headers.get('connection'), 'close')
    assert(pulled < 24, `${pulled} parts were read`)
  })

  it('takes larger ones where there is reason to', async () => {
    const api = await ApiHarness.open()
    const payload = 'x'.repeat(2 * 1024 * 1024)
    await api.json('PUT', '/api/queues/%2F/q', {})
    const body = { properties: {}, routing_key: 'q', payload, payload_encoding: 'string' }
    assert.deepEqual(await api.json('POST', '/api/exchanges/%2F/amq.default/publish', body), { routed: true })
    const limits = new Map(routes.map((row) => [`${row.method} ${row.path}`, row.bodyBytesMax]))
    const large = [...limits].filter(([, bytes]) => bytes > 1024 * 1024).map(([key]) => key)
    assert.deepEqual(large.sort(), [
      'GET /definitions',
      'GET /definitions/{vhost}',
      'POST /definitions',
      'POST /definitions/{vhost}',
      'POST /exchanges/{vhost}/{name}/publish',
      'PUT /queues/{vhost}/{name}/messages/{sequence}',
    ])
  })

  it('unpacks nothing', async () => {
    const api = await ApiHarness.open()
    const [status] = await api.refusal('PUT', '/api/queues/%2F/q', {
      raw: 'x',
      headers: { 'content-encoding': 'gzip' },
    })
    assert.equal(status, 415)
  })
})

/** `{ a: { a: … } }`. */
function nested(depth: number): object {
  return depth === 0 ? {} : { a: nested(depth - 1) }
}

describe('paths', () => {
  it('takes no name for a path', async () => {
    const api = await ApiHarness.open()
    for (const name of ['.', '..', 'a/b', '%2F', '%', 'a?b', 'a#b', ' ', '🐇', 'a+b', "'", '"<script>']) {
      const path = `/api/queues/%2F/${encodeURIComponent(name).replaceAll('.', '%2E')}`
      await api.json('PUT', path, {})
      assert.equal(((await api.json('GET', path)) as { name: string }).name, name)
      await api.json('DELETE', path)
    }
    assert.equal(api.broker.topology.vhosts.get('/')?.queues.size, 0)
    const [status, , reason] = await api.refusal('PUT', '/api/queues/%2F/%01', { body: {} })
    assert.equal(status, 400)
    assert.match(String(reason), /contains control characters/)
  })

  it('knows nothing of other paths, and says which methods there are', async () => {
    const api = await ApiHarness.open()
    for (const path of [
      '/api/nope',
      '/api',
      '/api/',
      '/api/queues/%2F/a/b/c',
      '/api/queues/%zz',
      '/api/../whoami',
      '/other',
      'x',
      '/api/%77hoami%',
    ]) {
      const { status, json } = await api.send('GET', path)
      assert.deepEqual([status, json], [404, { error: 'Object Not Found', reason: 'Not Found' }], path)
    }
    const wrong = await api.send('DELETE', '/api/queues')
    assert.deepEqual([wrong.status, wrong.headers.get('allow'), wrong.text], [405, 'HEAD, GET, OPTIONS', ''])
    const asked = await api.send('OPTIONS', '/api/queues/%2F/q')
    assert.deepEqual([asked.status, asked.headers.get('allow')], [200, 'HEAD, GET, PUT, DELETE, OPTIONS'])
    assert.equal((await api.send('GET', '/api/queues/')).status, 200)
    const head = await api.send('HEAD', '/api/queues')
    assert.deepEqual([head.status, head.text], [200, ''])
  })

  it('takes an empty name, and amq.default, for the default exchange', async () => {
    const api = await ApiHarness.open()
    await api.json('PUT', '/api/queues/%2F/q', {})
    for (const name of ['', 'amq.default']) {
      const rows = await api.json('GET', `/api/bindings/%2F/e/${name}/q/q`)
      assert.deepEqual(rows, [
        {
          source: '',
          vhost: '/',
          destination: 'q',
          destination_type: 'queue',
          routing_key: 'q',
          arguments: {},
          properties_key: 'q',
        },
      ])
    }
  })
})

describe('headers', () => {
  it('says with every answer that it is for nobody else', async () => {
    const api = await ApiHarness.open()
    for (const [method, path, user] of [
      ['GET', '/api/queues', 'administrator'],
      ['GET', '/api/nope', 'administrator'],
      ['POST', '/api/queues', 'administrator'],
      ['GET', '/api/queues', null],
      ['PUT', '/api/queues/%2F/q', 'administrator'],
    ] as const) {
      const { headers } = await api.send(method, path, { user })
      assert.equal(headers.get('x-content-type-options'), 'nosniff')
      assert.match(headers.get('content-security-policy') ?? '', /default-src 'none'; frame-ancestors 'none'/)
      assert.equal(headers.get('access-control-allow-origin'), null)
      assert.match(headers.get('cache-control') ?? '', /no-store/)
    }
  })

  it('lets no page of another site change anything', async () => {
    const api = await ApiHarness.open()
    const foreign: readonly Record<string, string>[] = [
      { origin: 'https://evil.example', host: 'localhost' },
      { origin: 'null', host: 'localhost' },
      { 'sec-fetch-site': 'cross-site' },
      { 'sec-fetch-site': 'same-site' },
    ]
    for (const headers of foreign) {
      const [status] = await api.refusal('PUT', '/api/queues/%2F/q', { body: {}, headers })
      assert.equal(status, 403, JSON.stringify(headers))
    }
    assert.equal(api.broker.topology.vhosts.get('/')?.queues.size, 0)
    for (const headers of [{ 'sec-fetch-site': 'same-origin' }, { 'sec-fetch-site': 'none' }, {}]) {
      assert((await api.send('PUT', '/api/queues/%2F/q', { body: {}, headers })).status < 300)
    }
  })

  it('lets pages of named origins do what their own login may, and no others', async () => {
    const api = await ApiHarness.open()
    const shop = { origin: 'https://shop.example', host: 'localhost', 'sec-fetch-site': 'cross-site' }
    const evil = { ...shop, origin: 'https://evil.example' }
    const put = async (headers: Record<string, string>, user: string | null = 'administrator'): Promise<unknown[]> => {
      const got = await api.send('PUT', '/api/queues/%2F/q', { user, body: {}, headers })
      return [got.status, got.headers.get('access-control-allow-origin')]
    }
    for (const origins of ['same-host', 'https://shop.example.evil.example', 'http://shop.example']) {
      api.origins = origins
      assert.deepEqual(await put(shop), [403, null], origins)
    }
    api.origins = 'https://other.example, https://shop.example'
    assert.deepEqual(await put(evil), [403, null])
    assert.deepEqual(await put(shop), [201, shop.origin])
    // What the browser adds of its own accord, a certificate or a cookie, is no login of such a page.
    assert.deepEqual(await put(shop, null), [403, shop.origin])
    assert.deepEqual(await put({ ...shop, 'x-warren-session': '1', cookie: 'warren=x' }, null), [403, shop.origin])
    api.origins = '*'
    assert.deepEqual(await put(evil), [204, evil.origin])
  })

  it('says beforehand what pages of named origins may send', async () => {
    const api = await ApiHarness.open()
    api.origins = 'https://shop.example'
    const ask = async (origin: string): Promise<(string | null)[]> => {
      const headers = { origin, host: 'localhost', 'access-control-request-method': 'DELETE' }
      const { status, headers: told } = await api.send('OPTIONS', '/api/queues/%2F/q', { user: null, headers })
      return [
        String(status),
        ...['origin', 'methods', 'headers', 'credentials'].map((name) => told.get(`access-control-allow-${name}`)),
      ]
    }
    const methods = 'HEAD, GET, PUT, DELETE, OPTIONS'
    assert.deepEqual(await ask('https://shop.example'), [
      '200',
      'https://shop.example',
      methods,
      'authorization, content-type, x-reason',
      null,
    ])
    assert.deepEqual(await ask('https://evil.example'), ['200', null, null, null, null])
  })

  it('takes no credentials that are none', async () => {
    const api = await ApiHarness.open()
    for (const authorization of ['', 'Basic', 'Basic !', 'Bearer x', 'Basic YQ==', `Basic ${'A'.repeat(5_000)}`]) {
      const got = await api.send('GET', '/api/whoami', { user: null, headers: { authorization } })
      assert.equal(got.status, 401, authorization)
    }
    api.user('with:colon', ['management'])
    assert.equal((await api.send('GET', '/api/whoami', { user: 'with:colon' })).status, 401)
  })

  it('lets one address keep few logins waiting, and others in', async () => {
    const api = await ApiHarness.open()
    const all = Array.from({ length: waitingPerAddressMax + 3 }, (_, at) =>
      api.send('GET', '/api/whoami', { password: `wrong-${at}`, remoteAddress: '10.0.0.1' }),
    )
    const other = api.send('GET', '/api/whoami', { remoteAddress: '10.0.0.2' })
    const statuses = (await Promise.all(all)).map(({ status }) => status)
    assert.deepEqual(statuses, [...Array.from({ length: waitingPerAddressMax }, () => 401), 429, 429, 429])
    assert.equal((await other).status, 200)
    assert.equal((await api.send('GET', '/api/whoami', { remoteAddress: '10.0.0.1' })).status, 200)
  })

  it('tells nothing of its own mistakes', async () => {
    const api = await ApiHarness.open({
      listeners: () => {
        throw new Error('secret detail')
      },
    })
    const got = await api.send('GET', '/api/overview')
    assert.deepEqual([got.status, got.json], [500, { error: 'internal_error', reason: 'Internal server error' }])
    assert.deepEqual(api.errors, ['internal error in the HTTP API'])
  })
})
