import { type Answer, noContent, ok } from './answer.ts'
import { type ApiRequest, isSet, vhostOf } from './request.ts'
import { type Api, type Route, route } from './route.ts'
import { objectPieces, textParts } from './text-parts.ts'

/** Of a definitions document that is sent, in bytes. */
export const definitionsBodyBytesMax = 20 * 1024 * 1024

const forAdministrators = { level: 'administrator', bodyBytesMax: definitionsBodyBytesMax } as const

/** Definitions, out and in. With hashes of passwords, so for administrators. */
export const definitionRoutes: readonly Route[] = [
  route('GET', '/definitions', exported, forAdministrators),
  route('GET', '/definitions/{vhost}', exported, { ...forAdministrators, vhost: 'administer' }),
  route('POST', '/definitions', imported, forAdministrators),
  route('POST', '/definitions/{vhost}', imported, { ...forAdministrators, vhost: 'administer' }),
]

async function exported(api: Api, request: ApiRequest): Promise<Answer> {
  const vhost = request.vhost === null ? null : vhostOf(request).name
  const definitions = await api.broker.exportDefinitions(api.names, vhost)
  api.logger.info({ vhost, by: request.caller.username }, 'definitions exported')
  return { status: 200, text: textParts(api.runQueue, objectPieces(definitions)) }
}

async function imported(api: Api, request: ApiRequest): Promise<Answer> {
  const { json } = await request.fields()
  const { position, warnings } = await api.broker.importDefinitions(json, request.vhost?.name)
  for (const warning of warnings) api.logger.warn({ by: request.caller.username }, warning)
  await api.commits.until(position)
  api.logger.info({ by: request.caller.username, warnings: warnings.length }, 'definitions imported')
  return isSet(request, 'report') ? ok({ warnings }) : noContent
}
