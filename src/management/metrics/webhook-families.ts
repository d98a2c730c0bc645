/** How the webhooks of this node are doing: each of them, since there are few. */
import type { VhostState } from '../../broker/topology/vhost-state.ts'
import type { Webhook } from '../../broker/topology/webhook.ts'
import type { ApiParts } from '../api/route.ts'
import type { WebhookReport } from '../webhooks.ts'
import { bucketSamples, type Family, type Labels, type Sample } from './family.ts'

interface Reported {
  readonly labels: Labels
  readonly webhook: Webhook
  readonly report: WebhookReport
}

export function* webhookFamilies({ broker, webhooks }: ApiParts): Generator<Family> {
  const reported: Reported[] = []
  for (const vhost of broker.topology.vhosts.values()) {
    for (const webhook of webhooksIn(vhost)) {
      reported.push({ labels: { vhost: vhost.name, webhook: webhook.name }, webhook, report: webhooks.report(webhook) })
    }
  }
  const each = (value: (one: Reported) => number): Sample[] => reported.map((one) => [one.labels, value(one)])
  yield {
    name: 'warren_webhook_delivered_total',
    type: 'counter',
    help: 'Messages that were answered with 2xx',
    samples: each(({ report }) => report.counts?.delivered ?? 0),
  }
  yield {
    name: 'warren_webhook_failed_total',
    type: 'counter',
    help: 'Attempts that were not',
    samples: each(({ report }) => report.counts?.failed ?? 0),
  }
  yield {
    name: 'warren_webhook_unacked',
    type: 'gauge',
    help: 'Messages that are being sent, or about to be sent again',
    samples: each(({ report }) => report.unacked),
  }
  yield {
    name: 'warren_webhook_running',
    type: 'gauge',
    help: 'It pushes on this node, and nothing keeps it from that',
    samples: each(({ report }) => Number(report.state === 'running')),
  }
  yield {
    name: 'warren_webhook_gone',
    type: 'gauge',
    help: 'It was switched off because its receiver answered 410',
    samples: each(({ webhook }) => Number(webhook.disabledReason !== null)),
  }
  yield {
    name: 'warren_webhook_request_seconds',
    type: 'histogram',
    help: 'Time of an attempt, answered or not',
    samples: reported.flatMap(({ labels, report: { counts } }) =>
      counts === null ? [] : [...bucketSamples(counts.seconds, labels)],
    ),
  }
}

function webhooksIn({ isClosed, webhooks }: VhostState): Iterable<Webhook> {
  return isClosed ? [] : webhooks.values()
}
