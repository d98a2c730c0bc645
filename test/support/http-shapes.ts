/**
 * What a broker's management API answers, as shapes: which fields there are and of which type, not their values. The same
 * scene is set on whatever broker it is, RabbitMQ or ours, and the same paths are asked for.
 */
import amqplib from 'amqplib'

export interface Target {
  /** Of the management API, without `/api`. */
  readonly http: string
  readonly amqp: string
}

/** Of each request: the status, then one line for each field: its path and its type. */
export type Shapes = Readonly<Record<string, readonly string[]>>

/** Keys that users choose: what is inside is not looked at. */
const maps = new Set([
  ...['arguments', 'client_properties', 'definition', 'effective_policy_definition', 'effective_definition', 'headers'],
  ...['value', 'cluster_state', 'publisher_state', 'metadata'],
])

export async function shapesOf(target: Target): Promise<Shapes> {
  const scene = await setScene(target)
  try {
    const shapes: Record<string, readonly string[]> = {}
    for (const [name, path] of Object.entries(scene.paths)) {
      const { status, json } = await ask(target, 'GET', path)
      shapes[`GET ${name}`] = [`status: ${status}`, ...(status < 300 ? [...new Set(fieldsOf(json, ''))].sort() : [])]
    }
    const body = { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' }
    const got = await ask(target, 'POST', '/queues/shapes/q/get', body)
    shapes['POST /queues/{vhost}/{name}/get'] = [`status: ${got.status}`, ...new Set(fieldsOf(got.json, ''))].sort()
    return shapes
  } finally {
    await scene.clear()
  }
}

function* fieldsOf(json: unknown, path: string): Generator<string> {
  if (Array.isArray(json)) {
    yield `${path}[]: list`
    for (const item of json) if (typeof item === 'object') yield* fieldsOf(item, `${path}[]`)
  } else if (typeof json === 'object' && json !== null) {
    for (const [key, value] of Object.entries(json)) {
      const at = `${path}.${key}`
      if (Array.isArray(value) || (typeof value === 'object' && value !== null && maps.has(key)))
        yield `${at}: map or list`
      if (!maps.has(key)) yield* fieldsOf(value, at)
    }
  } else yield `${path}: ${json === null ? 'null' : typeof json}`
}

interface Scene {
  /** By what stands in the shapes. */
  readonly paths: Readonly<Record<string, string>>
  clear(): Promise<void>
}

async function setScene(target: Target): Promise<Scene> {
  const put = async (path: string, body: unknown): Promise<void> => {
    const { status } = await ask(target, 'PUT', path, body)
    if (status >= 300) throw new Error(`PUT ${path}: ${status}`)
  }
  await put('/vhosts/shapes', {})
  await put('/permissions/shapes/guest', { configure: '.*', write: '.*', read: '.*' })
  await put('/users/shaped', { password: 'secret', tags: 'management' })
  await put('/permissions/shapes/shaped', { configure: '.*', write: '.*', read: '.*' })
  await put('/topic-permissions/shapes/shaped', { exchange: 'amq.topic', write: '.*', read: '.*' })
  await put('/policies/shapes/p', { pattern: '^q$', definition: { 'max-length': 100 }, 'apply-to': 'queues' })
  await put('/operator-policies/shapes/o', { pattern: '^q$', definition: { expires: 3_600_000 }, 'apply-to': 'queues' })
  await put('/vhost-limits/shapes/max-queues', { value: 100 })
  await put('/user-limits/shaped/max-channels', { value: 100 })
  await put('/global-parameters/shaped', { value: 'shaped' })
  await put('/exchanges/shapes/x', { type: 'topic', durable: true })
  await put('/queues/shapes/q', { durable: true })
  const bind = { routing_key: 'k', arguments: {} }
  await ask(target, 'POST', '/bindings/shapes/e/x/q/q', bind)
  await ask(target, 'POST', '/bindings/shapes/e/amq.direct/e/x', bind)
  const connection = await amqplib.connect(`${target.amqp}/shapes`)
  const channel = await connection.createConfirmChannel()
  await channel.prefetch(2)
  const work = setInterval(() => channel.publish('x', 'k', Buffer.from('x'), { persistent: true }), 200)
  await channel.consume('q', () => {}, { consumerTag: 'c' })
  // Both look at what is counted every five seconds.
  await new Promise((resolve) => setTimeout(resolve, 12_000))
  return {
    paths: await pathsOf(target),
    clear: async () => {
      clearInterval(work)
      await connection.close()
      await ask(target, 'DELETE', '/vhosts/shapes')
      await ask(target, 'DELETE', '/users/shaped')
      await ask(target, 'DELETE', '/global-parameters/shaped')
    },
  }
}

async function pathsOf(target: Target): Promise<Record<string, string>> {
  const first = async (path: string): Promise<string> => {
    const [one] = (await ask(target, 'GET', path)).json as { name: string }[]
    return encodeURIComponent(one?.name ?? '')
  }
  const connection = await first('/vhosts/shapes/connections')
  const channel = await first('/vhosts/shapes/channels')
  const node = await first('/nodes')
  const same = [
    ...[
      '/overview',
      '/cluster-name',
      '/nodes',
      '/extensions',
      '/definitions',
      '/connections',
      '/channels',
      '/consumers',
    ],
    ...[
      '/exchanges',
      '/queues',
      '/bindings',
      '/vhosts',
      '/users',
      '/users/without-permissions',
      '/whoami',
      '/permissions',
    ],
    ...['/topic-permissions', '/parameters', '/global-parameters', '/policies', '/operator-policies', '/vhost-limits'],
    ...['/user-limits', '/auth', '/feature-flags', '/health/checks/alarms', '/health/checks/local-alarms'],
    ...['/health/checks/virtual-hosts', '/health/checks/node-is-mirror-sync-critical'],
    ...['/health/checks/node-is-quorum-critical', '/health/checks/protocol-listener/amqp'],
    ...['/health/checks/certificate-expiration/1/weeks', '/users/shaped', '/users/shaped/permissions'],
    ...['/users/shaped/topic-permissions', '/user-limits/shaped', '/global-parameters/shaped'],
  ]
  const inVhost = [
    ...[
      '/vhosts/V',
      '/vhosts/V/permissions',
      '/vhosts/V/topic-permissions',
      '/vhosts/V/connections',
      '/vhosts/V/channels',
    ],
    ...['/definitions/V', '/consumers/V', '/exchanges/V', '/exchanges/V/x', '/exchanges/V/x/bindings/source'],
    ...['/exchanges/V/x/bindings/destination', '/queues/V', '/queues/V?page=1', '/queues/V/q', '/queues/V/q/bindings'],
    ...['/bindings/V', '/bindings/V/e/x/q/q', '/bindings/V/e/x/q/q/k', '/bindings/V/e/amq.direct/e/x'],
    ...[
      '/permissions/V/shaped',
      '/topic-permissions/V/shaped',
      '/policies/V',
      '/policies/V/p',
      '/operator-policies/V/o',
    ],
    ...[
      '/vhost-limits/V',
      '/aliveness-test/V',
      '/queues/V/q?lengths_age=10&lengths_incr=5&msg_rates_age=10&msg_rates_incr=5',
    ],
  ]
  return {
    ...Object.fromEntries(same.map((path) => [path, path])),
    ...Object.fromEntries(inVhost.map((path) => [path.replace('/V', '/{vhost}'), path.replace('/V', '/shapes')])),
    '/nodes/{name}': `/nodes/${node}`,
    '/nodes/{name}/memory': `/nodes/${node}/memory`,
    '/connections/{name}': `/connections/${connection}`,
    '/connections/{name}/channels': `/connections/${connection}/channels`,
    '/connections/username/{user}': '/connections/username/guest',
    '/channels/{name}': `/channels/${channel}`,
    '/auth/attempts/{node}': `/auth/attempts/${node}`,
  }
}

async function ask(
  { http }: Target,
  method: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; json: unknown }> {
  const authorization = `Basic ${Buffer.from('guest:guest').toString('base64')}`
  const response = await fetch(`${http}/api${path}`, {
    method,
    headers: { authorization, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  try {
    return { status: response.status, json: text === '' ? null : JSON.parse(text) }
  } catch {
    return { status: response.status, json: null }
  }
}
