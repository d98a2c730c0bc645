import { backupRoutes } from './backup.ts'
import { bindingRoutes } from './bindings.ts'
import { browseRoutes } from './browse-routes.ts'
import { clusterRoutes } from './cluster.ts'
import { connectionRoutes } from './connections.ts'
import { deadLetterRoutes } from './dead-letters.ts'
import { definitionRoutes } from './definitions.ts'
import { exchangeRoutes } from './exchanges.ts'
import { globalParameterRoutes } from './global-parameters.ts'
import { healthRoutes } from './health.ts'
import { leaseRoutes } from './lease-routes.ts'
import { limitRoutes } from './limits.ts'
import { messageRoutes } from './message-routes.ts'
import { metricsRoutes } from './metrics.ts'
import { nodeReportRoutes } from './node-reports.ts'
import { nodeRoutes } from './nodes.ts'
import { openApiRoutes } from './openapi.ts'
import { overviewRoutes } from './overview.ts'
import { parameterRoutes } from './parameters.ts'
import { permissionRoutes } from './permissions.ts'
import { policyRoutes } from './policies.ts'
import { queueRoutes } from './queues.ts'
import { reloadRoutes } from './reload.ts'
import type { Route } from './route.ts'
import { sessionRoutes } from './session-routes.ts'
import { tuningRoutes } from './tuning.ts'
import { userRoutes } from './users.ts'
import { vhostRoutes } from './vhosts.ts'
import { warrenRoutes } from './warren.ts'
import { webhookRoutes } from './webhooks.ts'

/** All there is. Of two that fit a path the first one counts. */
export const routes: readonly Route[] = [
  ...overviewRoutes,
  ...sessionRoutes,
  ...nodeRoutes,
  ...tuningRoutes,
  ...vhostRoutes,
  ...userRoutes,
  ...permissionRoutes,
  ...connectionRoutes,
  ...exchangeRoutes,
  ...queueRoutes,
  ...messageRoutes,
  ...browseRoutes,
  ...deadLetterRoutes,
  ...leaseRoutes,
  ...bindingRoutes,
  ...policyRoutes,
  ...parameterRoutes,
  ...globalParameterRoutes,
  ...webhookRoutes,
  ...limitRoutes,
  ...definitionRoutes,
  ...healthRoutes,
  ...metricsRoutes,
  ...warrenRoutes,
  ...nodeReportRoutes,
  ...backupRoutes,
  ...openApiRoutes(() => routes),
  ...clusterRoutes,
  ...reloadRoutes,
]
