/** The description of the API beside the API. */
import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { bodies, parameters, summaries } from '../../../src/management/api/openapi-words.ts'
import { routes } from '../../../src/management/api/routes.ts'
import { ApiHarness } from './api-harness.ts'

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters: readonly { name: string; in: string; required: boolean }[]
  readonly requestBody?: { content: { 'application/json': { schema: { properties: object; required?: string[] } } } }
  readonly responses: Readonly<Record<string, { content?: Readonly<Record<string, unknown>> }>>
}

interface Description {
  readonly openapi: string
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, unknown>> }
}

let api: ApiHarness
let description: Description
let operations: [key: string, path: string, method: string, operation: Operation][]

describe('the OpenAPI description', () => {
  before(async () => {
    api = await ApiHarness.open()
    description = (await api.json('GET', '/api/openapi.json')) as Description
    operations = Object.entries(description.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]): (typeof operations)[number] => {
        return [`${method.toUpperCase()} ${path.slice('/api'.length)}`, path, method, operation]
      }),
    )
  })

  it('describes every route, and no other', () => {
    const known = routes.map(({ method, path }) => `${method} ${path}`)
    assert.deepEqual(operations.map(([key]) => key).sort(), [...new Set(known)].sort())
    assert.equal(description.openapi, '3.1.0')
  })

  it('has words for routes only', () => {
    const known = new Set(operations.map(([key]) => key))
    const spoken = [...Object.keys(summaries), ...Object.keys(bodies), ...Object.keys(parameters)]
    assert.deepEqual(
      spoken.filter((key) => !known.has(key)),
      [],
    )
  })

  it('gives each operation a name of its own', () => {
    const ids = operations.map(([, , , { operationId }]) => operationId)
    assert.equal(new Set(ids).size, ids.length)
    for (const id of ids) assert.match(id, /^[a-z][a-zA-Z0-9]*$/)
  })

  it('names the parameters of each path, once', () => {
    for (const [key, path, , { parameters: given }] of operations) {
      const inPath = given.filter((parameter) => parameter.in === 'path').map(({ name }) => name)
      const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      assert.deepEqual(inPath, names, key)
      const all = given.map((parameter) => `${parameter.in} ${parameter.name}`)
      assert.equal(new Set(all).size, all.length, key)
      for (const parameter of given) assert.equal(parameter.required, parameter.in === 'path', key)
    }
  })

  it('refers to what is there', () => {
    for (const [, name = ''] of JSON.stringify(description).matchAll(/"\$ref":"#\/components\/schemas\/(\w+)"/g)) {
      assert(Object.hasOwn(description.components.schemas, name), name)
    }
  })

  it('tells the type of every answer', async () => {
    await api.json('PUT', '/api/queues/%2F/q', {})
    const names: Readonly<Record<string, string>> = { vhost: '/', name: 'q', user: 'management', port: '5672' }
    for (const [key, path, method, { responses }] of operations) {
      if (method !== 'get') continue
      const real = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? 'q'))
      const got = await api.send('GET', real)
      const [type] = Object.keys(responses['200']?.content ?? {})
      const expected = got.status < 300 ? type : 'application/json'
      assert.equal(got.headers.get('content-type')?.split(';')[0], expected, `${key}: ${got.status}`)
    }
  })

  it('asks for the fields that have to be there', async () => {
    for (const [key, path, method, { requestBody }] of operations) {
      const { properties, required = [] } = requestBody?.content['application/json'].schema ?? { properties: {} }
      for (const name of required) assert(Object.hasOwn(properties, name), `${key}: ${name}`)
      if (required.length === 0) continue
      const names: Readonly<Record<string, string>> = { vhost: '/', user: 'management', name: 'q' }
      const real = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(names[name] ?? 'x'))
      const { status } = await api.send(method.toUpperCase(), real, { body: {} })
      assert.equal(status, 400, key)
    }
  })
})
