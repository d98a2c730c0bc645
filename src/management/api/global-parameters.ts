import { listGlobalParameters, type ShownParameter } from '../../broker/global-parameters.ts'
import { clusterNameParameter } from '../../broker/topology/global-parameter.ts'
import { shownClusterName } from '../cluster-name.ts'
import { type Answer, created, noContent, notFound, ok } from './answer.ts'
import { listed, one } from './list.ts'
import { type ApiRequest, param } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { rowsOf } from './view.ts'

const level = 'policymaker' as const

/** What is set for the whole broker, and its name, which is one of them. */
export const globalParameterRoutes: readonly Route[] = [
  route('GET', '/global-parameters', (api, request) => listed(api, request, rowsOf(sorted(api), nameOf, json)), {
    level,
  }),
  route('GET', '/global-parameters/{name}', (api, request) => one(request, json(parameterOf(api, request))), { level }),
  route('PUT', '/global-parameters/{name}', put, { level }),
  route('DELETE', '/global-parameters/{name}', remove, { level }),
  route('GET', '/cluster-name', ({ broker, cluster, node }) =>
    ok({ name: shownClusterName(broker.topology, cluster, node.name) }),
  ),
  route('PUT', '/cluster-name', rename, { level: 'administrator' }),
]

const nameOf = ({ name }: ShownParameter): string => name

/** There are few: at most `globalParametersMax`. */
function sorted({ broker }: Api): ShownParameter[] {
  return [...listGlobalParameters(broker.topology)].sort((a, b) => (a.name < b.name ? -1 : 1))
}

function json({ name, value }: ShownParameter): { readonly name: string; readonly value: unknown } {
  return { name, value }
}

function parameterOf({ broker }: Api, request: ApiRequest): ShownParameter {
  const parameter = broker.topology.globalParameters.get(param(request, 'name'))
  if (parameter === undefined) throw notFound()
  return { name: parameter.name, value: JSON.parse(parameter.json) }
}

async function put(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  fields.require('value')
  const name = param(request, 'name')
  const isNew = !api.broker.topology.globalParameters.has(name)
  await api.commits.until(await api.broker.putGlobalParameter(name, fields.value('value')))
  return isNew ? created() : noContent
}

async function remove(api: Api, request: ApiRequest): Promise<Answer> {
  const { name } = parameterOf(api, request)
  await api.commits.until(await api.broker.deleteGlobalParameter(name))
  return noContent
}

async function rename(api: Api, request: ApiRequest): Promise<Answer> {
  const fields = await request.fields()
  fields.require('name')
  await api.commits.until(await api.broker.putGlobalParameter(clusterNameParameter, fields.value('name')))
  return noContent
}
