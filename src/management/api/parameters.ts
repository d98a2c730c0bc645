import type { JsonObject } from '../../broker/definitions/entry.ts'
import { isObject } from '../../broker/definitions/entry.ts'
import { limitsJson } from '../../broker/definitions/user-entry.ts'
import type { GivenPolicy } from '../../broker/policies.ts'
import type { PolicyKind } from '../../broker/topology/policy-keys.ts'
import { erlangTerm } from '../../broker/topology/policy-keys.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, badRequest, created, noContent, notFound } from './answer.ts'
import { listed, one } from './list.ts'
import { shownPolicies } from './policies.ts'
import { type ApiRequest, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { type Row, rowsOf } from './view.ts'
import { webhookParameter } from './webhooks.ts'

const level = 'policymaker' as const
const at = '/parameters/{component}/{vhost}/{name}'

/**
 * What RabbitMQ calls parameters: limits of vhosts, operator policies and our webhooks under one path. The first two are
 * set by it too, which takes an administrator, as it does by the paths of their own.
 */
export const parameterRoutes: readonly Route[] = [
  route('GET', '/parameters', (api, request) => listed(api, request, rows(request.caller.visibleVhosts(), null)), {
    level,
  }),
  route('GET', '/parameters/{component}', (api, request) => listOf(api, request, request.caller.visibleVhosts()), {
    level,
  }),
  route('GET', '/parameters/{component}/{vhost}', (api, request) => listOf(api, request, [vhostOf(request)]), {
    level,
  }),
  route('GET', at, (_api, request) => one(request, parameterOf(request).json()), { level }),
  route('PUT', at, put, { level }),
  route('DELETE', at, remove, { level }),
]

function listOf(api: Api, request: ApiRequest, vhosts: Iterable<VhostState>): Promise<Answer> {
  return listed(api, request, rows(vhosts, param(request, 'component')))
}

/** Policies only where they are asked for: they are no parameters in RabbitMQ's lists. */
function* rows(vhosts: Iterable<VhostState>, component: string | null): Generator<Row> {
  const isWanted = (one: string): boolean => component === null || component === one
  for (const vhost of vhosts) {
    if (component === 'policy') yield* policyRows(vhost, 'policy', 'policy')
    if (isWanted(operatorPolicies)) yield* policyRows(vhost, 'operator-policy', operatorPolicies)
    if (isWanted('webhook')) yield* rowsOf(vhost.webhooks.values(), ({ name }) => name, webhookParameter)
    if (isWanted(vhostLimits)) yield* limitRows(vhost)
  }
}

const operatorPolicies = 'operator_policy'
const vhostLimits = 'vhost-limits'
/** The one parameter that holds the limits of a vhost. */
const limitsName = 'limits'

function* policyRows(home: VhostState, kind: PolicyKind, component: string): Generator<Row> {
  for (const { vhost, name, ...value } of shownPolicies(home, kind)) {
    yield { name, json: () => ({ value, vhost, component, name }) }
  }
}

function* limitRows({ name: vhost, limits }: VhostState): Generator<Row> {
  if (limits === null) return
  const value = limitsJson({ 'max-connections': limits.maxConnections, 'max-queues': limits.maxQueues })
  yield { name: limitsName, json: () => ({ value, vhost, component: vhostLimits, name: limitsName }) }
}

function parameterOf(request: ApiRequest): Row {
  for (const row of rows([vhostOf(request)], param(request, 'component'))) {
    if (row.name === param(request, 'name')) return row
  }
  throw notFound()
}

// ---------------------------------------------------------------- change

async function put(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  fields.require('value')
  const value = fields.value('value')
  const isNew = !hasParameter(request)
  await api.commits.until(await changed(api, request, value))
  return isNew ? created() : noContent
}

async function remove(api: Api, request: ApiRequest): Promise<Answer> {
  parameterOf(request)
  const [{ name: vhost }, name] = [vhostOf(request), param(request, 'name')]
  switch (param(request, 'component')) {
    case vhostLimits:
      request.caller.require('administrator')
      await api.commits.until(await api.broker.clearVhostLimits(vhost))
      return noContent
    case operatorPolicies:
      request.caller.require('administrator')
      await api.commits.until(await api.broker.deleteOperatorPolicy(vhost, name))
      return noContent
    default:
      throw badRequest(`'${name}' of component ${param(request, 'component')} is deleted by the path of its own`)
  }
}

function changed(api: Api, request: ApiRequest, value: unknown): Promise<number> {
  const [{ name: vhost }, name] = [vhostOf(request), param(request, 'name')]
  switch (param(request, 'component')) {
    case vhostLimits:
      request.caller.require('administrator')
      if (name !== limitsName) throw invalid(`the limits of a vhost are called ${limitsName}, not '${name}'`)
      return api.broker.putVhostLimits(vhost, objectIn(name, value))
    case operatorPolicies:
      request.caller.require('administrator')
      return api.broker.putOperatorPolicy(vhost, name, givenPolicy(objectIn(name, value)))
    case 'policy':
      throw badRequest('policies may not be set using this method')
    case 'webhook':
      throw badRequest(`webhook '${name}' is put by the path of its own, /api/webhooks`)
    default:
      // Shovels and federation are what parameters are for in RabbitMQ.
      throw invalid(`component ${param(request, 'component')} not found`)
  }
}

function hasParameter(request: ApiRequest): boolean {
  for (const { name } of rows([vhostOf(request)], param(request, 'component'))) {
    if (name === param(request, 'name')) return true
  }
  return false
}

/** Erlang's empty list and empty object are one. */
function objectIn(name: string, value: unknown): JsonObject {
  if (isObject(value)) return value
  if (Array.isArray(value) && value.length === 0) return {}
  throw invalid(`${name} not a list ${erlangTerm(value)}`)
}

function givenPolicy(value: JsonObject): GivenPolicy {
  const fields = new Map(Object.entries(value))
  const [priority, applyTo] = [fields.get('priority') ?? 0, fields.get('apply-to') ?? 'all']
  return { pattern: fields.get('pattern'), definition: fields.get('definition'), priority, applyTo }
}

/** In RabbitMQ's form. */
function invalid(text: string): Error {
  return badRequest(`Validation failed\n\n${text}\n`)
}
