import type { JsonObject } from '../../broker/definitions/entry.ts'
import { listPolicies, type ShownPolicy } from '../../broker/policies.ts'
import type { PolicyKind } from '../../broker/topology/policy-keys.ts'
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import { type Answer, created, noContent, notFound } from './answer.ts'
import type { Level } from './caller.ts'
import { listed, one } from './list.ts'
import { type ApiRequest, param, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { type Row, rowsOf } from './view.ts'

/** Policies and operator policies. */
export const policyRoutes: readonly Route[] = [
  ...routesOf('/policies', 'policy', 'policymaker'),
  ...routesOf('/operator-policies', 'operator-policy', 'administrator'),
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

/** All of one vhost, as they are shown. */
export function* shownPolicies(vhost: VhostState, kind: PolicyKind): Generator<PolicyJson> {
  for (const policy of listPolicies(vhost, kind)) yield policyJson(policy)
}

interface PolicyJson extends JsonObject {
  readonly vhost: string
  readonly name: string
}

function policyJson({ vhost, name, pattern, applyTo, definition, priority }: ShownPolicy): PolicyJson {
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
