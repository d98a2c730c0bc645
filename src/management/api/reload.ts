import { ReloadRefused } from '../reload.ts'
import { type Answer, badRequest, ok } from './answer.ts'
import { type Api, type Route, route } from './route.ts'

/** Reading the configuration again: Warren's own. */
export const reloadRoutes: readonly Route[] = [route('PUT', '/warren/reload', reload, { level: 'administrator' })]

async function reload(api: Api): Promise<Answer> {
  if (api.reload === null) throw badRequest('this node was started without a configuration to read again')
  try {
    const { changed, needsRestart, warnings } = await api.reload()
    return ok({ changed, needs_restart: needsRestart, warnings })
  } catch (error) {
    if (error instanceof ReloadRefused) throw badRequest(error.message)
    throw error
  }
}
