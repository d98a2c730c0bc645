/**
 * What holds through any node of a cluster, for those who look after it by HTTP: the management API and its dashboard, logins,
 * webhooks, traces. All on one cluster, one after the other; each says how it leaves it.
 */
import { after } from 'node:test'
import { ClusterProcesses } from '../support/cluster/cluster-processes.ts'
import { TraceCollector } from '../support/trace-collector.ts'
import { dashboardLogins } from './dashboard-logins.ts'
import { management } from './management.ts'
import { tracing } from './tracing.ts'
import { webhooks } from './webhooks.ts'

const collector = await TraceCollector.start()
const cluster = await ClusterProcesses.start({
  env: {
    WARREN_CLUSTER_SHARDS: '3',
    WARREN_CLUSTER_SESSION: '6s',
    WARREN_WEBHOOK_ALLOW: '127.0.0.1',
    WARREN_TRACE_ENDPOINT: collector.url,
    WARREN_TRACE_HEADERS: 'x-key=of%20the%20nodes',
  },
  hasHttp: true,
})
after(async () => {
  await cluster.kill()
  collector.close()
})

management(cluster)
dashboardLogins(cluster)
webhooks(cluster)
tracing(cluster, collector)
