import type { JsonObject } from '../../broker/definitions/entry.ts'
import { limitsJson } from '../../broker/definitions/user-entry.ts'
import { listPolicies, type ShownPolicy } from '../../broker/policies.ts'
import type { PolicyKind } from '../../broker/topology/policy-keys.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, badRequest, created, noContent, notFound, ok } from './answer.ts'
import type { Level } from './caller.ts'
import { listed, one } from './list.ts'
import { type ApiRequest, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { type Row, rowsOf } from './view.ts'
import { webhookParameter } from './webhooks.ts'

/** Policies, operator policies, and what RabbitMQ calls parameters. */
export const policyRoutes: readonly Route[] = [
  ...routesOf('/policies', 'policy', 'policymaker'),
  ...routesOf('/operator-policies', 'operator-policy', 'administrator'),
  route('GET', '/parameters', (api, request) => listed(api, request, parameterRows(request.caller.visibleVhosts())), {
    level: 'policymaker',
  }),
  route(
    'GET',
    '/parameters/{component}',
    (api, request) => listed(api, request, parameterRows(request.caller.visibleVhosts(), param(request, 'component'))),
    { level: 'policymaker' },
  ),
  route(
    'GET',
    '/parameters/{component}/{vhost}',
    (api, request) => listed(api, request, parameterRows([vhostOf(request)], param(request, 'component'))),
    { level: 'policymaker' },
  ),
  // Shovels and federation are what parameters are for in RabbitMQ; policies and limits have routes of their own.
  route(
    'PUT',
    '/parameters/{component}/{vhost}/{name}',
    (_api, request) => {
      throw badRequest(`Validation failed\n\ncomponent ${param(request, 'component')} not found\n`)
    },
    { level: 'policymaker' },
  ),
  route('GET', '/parameters/{component}/{vhost}/{name}', (_api, request) => one(request, parameterOf(request).json()), {
    level: 'policymaker',
  }),
  route(
    'DELETE',
    '/parameters/{component}/{vhost}/{name}',
    (_api, request) => {
      const { name } = parameterOf(request)
      throw badRequest(`'${name}' of component ${param(request, 'component')} is deleted by the path of its own`)
    },
    { level: 'policymaker' },
  ),
  route('GET', '/global-parameters', () => ok([]), { level: 'policymaker' }),
]

/** Who may see them may see those of the vhosts they can enter. */
function routesOf(path: string, kind: PolicyKind, changes: Level): Route[] {
  const reads = { level: 'policymaker' } as const
  const names = `${path}/{vhost}/{name}`
  return [
    route('GET', path, (api, request) => listed(api, request, rows(request.caller.visibleVhosts(), kind)), reads),
    route('GET', `${path}/{vhost}`, (api, request) => listed(api, request, rows([vhostOf(request)], kind)), reads),
    route('GET', names, (_api, request) => one(request, policyJson(policyOf(request, kind))), reads),
    route('PUT', names, (api, request) => put(api, request, kind), { level: changes }),
    route(
      'DELETE',
      names,
      async (api, request) => {
        const { vhost, name } = policyOf(request, kind)
        await api.commits.until(await api.broker.deletePolicy(vhost, name, kind))
        return noContent
      },
      { level: changes },
    ),
  ]
}

function* rows(vhosts: Iterable<VhostState>, kind: PolicyKind): Generator<Row> {
  for (const vhost of vhosts) yield* rowsOf(listPolicies(vhost, kind), ({ name }) => name, policyJson)
}

function policyOf(request: ApiRequest, kind: PolicyKind): ShownPolicy {
  for (const policy of listPolicies(vhostOf(request), kind)) {
    if (policy.name === param(request, 'name')) return policy
  }
  throw notFound()
}

function policyJson({ vhost, name, pattern, applyTo, definition, priority }: ShownPolicy): JsonObject {
  return { vhost, name, pattern, 'apply-to': applyTo, definition, priority }
}

async function put(api: Api, request: ApiRequest, kind: PolicyKind): Promise<Answer> {
  const fields = await request.fields()
  fields.require('pattern', 'definition')
  const { name: vhost, policies } = vhostOf(request)
  const name = param(request, 'name')
  const isNew = policies.get(kind, name) === undefined
  const given = {
    pattern: fields.value('pattern'),
    definition: fields.value('definition'),
    ...(fields.has('priority') ? { priority: numberOf(fields.value('priority')) } : {}),
    ...(fields.has('apply-to') ? { applyTo: fields.value('apply-to') } : {}),
  }
  await api.commits.until(await api.broker.putPolicy(vhost, name, given, kind))
  return isNew ? created() : noContent
}

/** Some tools write numbers as texts; what is none is the broker's to refuse. */
function numberOf(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d{1,15}$/.test(value) ? Number(value) : value
}

function parameterOf(request: ApiRequest): Row {
  for (const row of parameterRows([vhostOf(request)], param(request, 'component'))) {
    if (row.name === param(request, 'name')) return row
  }
  throw notFound()
}

function* parameterRows(vhosts: Iterable<VhostState>, component: string | null = null): Generator<Row> {
  const isWanted = (one: string): boolean => component === null || component === one
  for (const { name: vhost, limits, webhooks } of vhosts) {
    if (isWanted('webhook')) yield* rowsOf(webhooks.values(), ({ name }) => name, webhookParameter)
    if (limits === null || !isWanted('vhost-limits')) continue
    const value = limitsJson({ 'max-connections': limits.maxConnections, 'max-queues': limits.maxQueues })
    yield { name: 'limits', json: () => ({ value, vhost, component: 'vhost-limits', name: 'limits' }) }
  }
}
