import type { JsonObject } from '../../broker/definitions/entry.ts'
import { ok } from './answer.ts'
import { bodies, listParameters, parameters, summaries } from './openapi-words.ts'
import { type Api, type Route, route } from './route.ts'

/** The API as OpenAPI describes one, made of the table of routes when somebody asks. */
export function openApiRoutes(routes: () => readonly Route[]): readonly Route[] {
  return [route('GET', '/openapi.json', (api) => ok(describe(api, routes())))]
}

function describe({ names }: Api, routes: readonly Route[]): JsonObject {
  const paths: Record<string, Record<string, JsonObject>> = {}
  for (const row of routes) {
    const path = `/api${row.path}`
    paths[path] ??= {}
    const operations = paths[path]
    // Of two that fit the first one counts.
    operations[row.method.toLowerCase()] ??= operationOf(row)
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Warren',
      version: names.productVersion,
      description: 'RabbitMQ’s management HTTP API, and what Warren has besides.',
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: '/' }],
    security: [{ basic: [] }],
    paths,
    components: {
      securitySchemes: { basic: { type: 'http', scheme: 'basic' } },
      schemas: {
        Refusal: {
          type: 'object',
          properties: { error: { type: 'string' }, reason: { type: 'string' } },
          required: ['error', 'reason'],
        },
      },
    },
  }
}

function operationOf(row: Route): JsonObject {
  const { method, path, level } = row
  const key = `${method} ${path}`
  const body = bodies[key]
  return {
    operationId: idOf(row),
    tags: [path.split('/')[1] ?? ''],
    summary: summaries[key] ?? key,
    description: `For users with the tag ${level}${level === 'administrator' ? '' : ', or one that includes it'}.`,
    parameters: [...pathParameters(path), ...queryParameters(key, row)],
    ...(body === undefined ? {} : { requestBody: bodyOf(body) }),
    responses: responsesOf(row),
  }
}

/** `getQueuesVhostName`. */
function idOf({ method, path }: Route): string {
  const words = path.split(/[^a-zA-Z0-9]+/).filter((word) => word !== '')
  return method.toLowerCase() + words.map((word) => word[0]?.toUpperCase() + word.slice(1)).join('')
}

function pathParameters(path: string): JsonObject[] {
  return [...path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => ({
    name,
    in: 'path',
    required: true,
    description: name === 'vhost' ? 'Percent-encoded; the first vhost is %2F.' : 'Percent-encoded.',
    schema: { type: 'string' },
  }))
}

function queryParameters(key: string, { method, path }: Route): JsonObject[] {
  // What has no name in its last segment is a list, as a rule.
  const isList = method === 'GET' && lists.has(path)
  const names = [...(parameters[key] ?? []), ...(isList ? listParameters : [])]
  return names.map((name) => ({ name, in: 'query', required: false, schema: { type: 'string' } }))
}

const lists: ReadonlySet<string> = new Set([
  ...['/vhosts', '/users', '/permissions', '/topic-permissions', '/connections', '/channels', '/consumers', '/nodes'],
  ...['/exchanges', '/exchanges/{vhost}', '/queues', '/queues/{vhost}', '/bindings', '/bindings/{vhost}', '/policies'],
  ...['/policies/{vhost}', '/operator-policies', '/operator-policies/{vhost}', '/consumers/{vhost}'],
  ...['/vhosts/{vhost}/connections', '/vhosts/{vhost}/channels', '/connections/{name}/channels'],
  ...['/queues/{vhost}/{name}/bindings', '/connections/username/{user}'],
])

function bodyOf({ fields, required = [] }: { fields: JsonObject; required?: readonly string[] }): JsonObject {
  const schema = { type: 'object', properties: fields, ...(required.length === 0 ? {} : { required }) }
  return { required: required.length > 0, content: { 'application/json': { schema } } }
}

function responsesOf({ method, path }: Route): JsonObject {
  const type = typesOf.get(path.startsWith('/metrics') ? '/metrics' : path) ?? json
  const refusal = { content: { [json]: { schema: { $ref: '#/components/schemas/Refusal' } } } }
  const done: JsonObject =
    method === 'GET'
      ? { '200': { description: 'What was asked for', content: { [type]: {} } } }
      : { '2XX': { description: 'Done' } }
  return { ...done, '4XX': { description: 'Refused', ...refusal }, '503': { description: 'Not now', ...refusal } }
}

const json = 'application/json'

/** Of what is no JSON. */
const typesOf: ReadonlyMap<string, string> = new Map([
  ['/metrics', 'text/plain'],
  ['/warren/rates', 'text/event-stream'],
  ['/queues/{vhost}/{name}/consume', 'text/event-stream'],
  ['/warren/backup', 'application/x-tar'],
])
