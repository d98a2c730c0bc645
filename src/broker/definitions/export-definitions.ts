import { listGlobalParameters } from '../global-parameters.ts'
import type { Binding } from '../topology/binding.ts'
import type { DeclaredQueue } from '../topology/declared-queue.ts'
import type { Exchange } from '../topology/exchange.ts'
import type { Policy } from '../topology/policy.ts'
import { queueTypeOf } from '../topology/queue-arguments.ts'
import type { Topology } from '../topology/topology.ts'
import type { VhostState } from '../topology/vhost-state.ts'
import { type SecretsShown, webhookJson } from '../webhooks.ts'
import type { JsonObject } from './entry.ts'
import { jsonOfTable } from './json-table.ts'
import { limitsJson, userJson } from './user-entry.ts'

/**
 * What exists as RabbitMQ's definitions, which RabbitMQ 3.10 and later import. Not in it: messages, what is there without
 * saying (predeclared exchanges, bindings from the default exchange), and exclusive queues, which are a connection's.
 *
 * Ours alone, and passed over by RabbitMQ: parameters of the component `webhook`, as a rule without their secrets, and
 * `warren_password_hash` of users whose hash it cannot read. They have no password there. Arguments, policy keys and exchange types that it does not know are written all the same.
 */
export function* exportDefinitions(topology: Topology, wish: ExportWish): Generator<void, JsonObject> {
  const vhosts = [...topology.vhosts.values()].filter(({ isClosed }) => !isClosed)
  const contents = noContents()
  for (const vhost of vhosts) yield* collect(contents, vhost, { vhost: vhost.name })
  return {
    ...versionsOf(wish),
    users: [...topology.users.values()].map(userJson),
    vhosts: vhosts.map(vhostJson),
    permissions: vhosts.flatMap(permissionsJson),
    topic_permissions: vhosts.flatMap(topicPermissionsJson),
    parameters: vhosts.flatMap((vhost) => [...parametersJson(vhost, { vhost: vhost.name }, wish)]),
    global_parameters: [...listGlobalParameters(topology)],
    ...contents,
  }
}

/** The same of one vhost, without its name, so that it can be imported into another. */
export function* exportVhost(vhost: VhostState, wish: ExportWish): Generator<void, JsonObject> {
  const contents = noContents()
  yield* collect(contents, vhost, {})
  return { ...versionsOf(wish), parameters: [...parametersJson(vhost, {}, wish)], ...contents }
}

export interface ProductNames {
  /** The RabbitMQ version whose form this is. */
  readonly rabbitVersion: string
  readonly productVersion: string
}

export interface ExportWish extends ProductNames {
  /** Default: without. */
  readonly secrets?: SecretsShown
}

function versionsOf({ rabbitVersion, productVersion }: ProductNames): JsonObject {
  return {
    rabbit_version: rabbitVersion,
    rabbitmq_version: rabbitVersion,
    product_name: 'Warren',
    product_version: productVersion,
  }
}

type Home = { readonly vhost?: string }

interface Contents {
  readonly policies: JsonObject[]
  readonly queues: JsonObject[]
  readonly exchanges: JsonObject[]
  readonly bindings: JsonObject[]
}

const noContents = (): Contents => ({ policies: [], queues: [], exchanges: [], bindings: [] })

/** What is in a vhost may be very much: it is collected one by one. */
function* collect({ policies, queues, exchanges, bindings }: Contents, vhost: VhostState, home: Home): Steps {
  for (const policy of vhost.policies.list('policy')) policies.push(policyJson(policy, home))
  for (const queue of vhost.queues.values()) {
    if (isShared(queue)) queues.push(queueJson(queue, home))
    yield
  }
  for (const exchange of vhost.exchanges.values()) {
    if (!exchange.isPredeclared) exchanges.push(exchangeJson(exchange, home))
    for (const binding of exchange.outgoing.values()) {
      if (isShown(binding)) bindings.push(bindingJson(binding, home))
      yield
    }
  }
}

type Steps = Generator<void, void>

/** Names that begin with `amq.` cannot be imported. */
function isShared({ exclusiveOwner, name }: DeclaredQueue): boolean {
  return exclusiveOwner === null && !name.startsWith('amq.')
}

function isShown({ isGone, destination }: Binding): boolean {
  return !isGone && (destination.kind === 'exchange' || isShared(destination))
}

// ---------------------------------------------------------------- entries

function vhostJson({ name, metadata }: VhostState): JsonObject {
  const { description = '', tags = [], defaultQueueType = null } = metadata ?? {}
  const type = defaultQueueType === null ? {} : { default_queue_type: defaultQueueType }
  return { name, description, tags, metadata: { description, tags, ...type }, ...type }
}

function permissionsJson(vhost: VhostState): JsonObject[] {
  return [...vhost.permissions.values()].map(({ username, configure, write, read }) => ({
    user: username,
    vhost: vhost.name,
    configure: configure.text,
    write: write.text,
    read: read.text,
  }))
}

function topicPermissionsJson(vhost: VhostState): JsonObject[] {
  return [...vhost.topicPermissions.values()].map(({ username, exchange, writeText, readText }) => ({
    user: username,
    vhost: vhost.name,
    exchange,
    write: writeText,
    read: readText,
  }))
}

function* parametersJson(
  { policies, limits, webhooks }: VhostState,
  home: Home,
  { secrets }: ExportWish,
): Generator<JsonObject> {
  for (const policy of policies.list('operator-policy')) {
    const { name, ...value } = policyJson(policy, {})
    yield { ...home, component: 'operator_policy', name, value }
  }
  for (const webhook of webhooks.values()) {
    yield { ...home, component: 'webhook', name: webhook.name, value: webhookJson(webhook, secrets) }
  }
  if (limits === null) return
  const value = limitsJson({ 'max-connections': limits.maxConnections, 'max-queues': limits.maxQueues })
  yield { ...home, component: 'vhost-limits', name: 'limits', value }
}

function policyJson({ name, pattern, applyTo, values, priority }: Policy, home: Home): JsonObject {
  return { ...home, name, pattern, 'apply-to': applyTo, definition: Object.fromEntries(values), priority }
}

function queueJson(queue: DeclaredQueue, home: Home): JsonObject {
  const { name, isDurable, isAutoDelete, arguments: table } = queue
  const flags = { durable: isDurable, auto_delete: isAutoDelete }
  return { name, ...home, type: queueTypeOf(table), ...flags, arguments: jsonOfTable(table) }
}

function exchangeJson(exchange: Exchange, home: Home): JsonObject {
  const { name, type, isDurable, isAutoDelete, isInternal, arguments: table } = exchange
  const flags = { durable: isDurable, auto_delete: isAutoDelete, internal: isInternal }
  return { name, ...home, type, ...flags, arguments: jsonOfTable(table) }
}

function bindingJson({ source, destination, key, arguments: table }: Binding, home: Home): JsonObject {
  return {
    source: source.name,
    ...home,
    destination: destination.name,
    destination_type: destination.kind,
    routing_key: key,
    arguments: jsonOfTable(table),
  }
}
