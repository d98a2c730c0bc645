import { badRequest, noContent, ok } from './answer.ts'
import { queueOf } from './queues.ts'
import { param } from './request.ts'
import { type Route, route } from './route.ts'

/** What administrators of RabbitMQ do now and then, where there is little to do here. */
export const tuningRoutes: readonly Route[] = [
  route('GET', '/feature-flags', () => ok(features), { level: 'monitoring' }),
  // Nothing here is on its way out.
  route('GET', '/deprecated-features', () => ok([])),
  route('GET', '/deprecated-features/used', () => ok([])),
  // They are all on; tools that make sure of it hear so.
  route(
    'PUT',
    '/feature-flags/{name}/enable',
    (_api, request) => {
      const name = param(request, 'name')
      if (name !== 'all' && !features.some((feature) => feature.name === name)) {
        throw badRequest(`feature flag '${name}' is not known`)
      }
      return noContent
    },
    { level: 'administrator' },
  ),
  // No queue has copies that fall behind, and none is held by a node that has too many.
  route('POST', '/rebalance/queues', () => noContent, { level: 'administrator' }),
  route('POST', '/queues/{vhost}/{name}/actions', async (_api, request) => {
    queueOf(request)
    const fields = await request.fields()
    const action = fields.text('action')
    if (action !== 'sync' && action !== 'cancel_sync') throw badRequest(`action '${action}' is not known`)
    return noContent
  }),
]

/** What tools look for before they use it; none of it can be off. */
const features = [
  ['quorum_queue', 'queues of type quorum'],
  ['stream_queue', 'queues of type stream'],
  ['user_limits', 'limits of connections and channels of a user'],
  ['virtual_host_metadata', 'descriptions and tags of vhosts'],
  ['detailed_queues_endpoint', 'GET /api/queues with all there is to say'],
].map(([name, desc]) => ({ name, desc, doc_url: '', state: 'enabled', stability: 'stable', provided_by: 'warren' }))
