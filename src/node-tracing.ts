/** Spans of traced messages of a node, as its options say: nothing of it is loaded where there are none. */
import type { Clock } from './base/clock.ts'
import { type Logger, logOf } from './base/logger.ts'
import type { Random } from './base/random.ts'
import type { Config } from './config.ts'
import type { SpanExporter } from './telemetry/span-exporter.ts'
import { version } from './version.ts'

export type Tracer = SpanExporter

interface TracingWorld {
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export async function openTracing(config: Config, { clock, random, logger }: TracingWorld): Promise<Tracer | null> {
  const { traceEndpoint, traceServiceName: serviceName, nodeName } = config
  if (traceEndpoint === 'none') return null
  const [{ SpanExporter: Made }, { postJson }] = await Promise.all([
    import('./telemetry/span-exporter.ts'),
    import('./base/post-json.ts'),
  ])
  const url = new URL(traceEndpoint)
  if (url.pathname === '/') url.pathname = '/v1/traces'
  const source = { serviceName, serviceInstance: nodeName, version }
  return new Made({ clock, random, logger: logOf(logger, 'broker'), source, url: url.href, post: postJson })
}
