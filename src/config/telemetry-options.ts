/** The options of what is told to a collector of OpenTelemetry. Rows like those of `options.ts`, of which they are a part. */
import { type Option, text, unset } from './option.ts'

export const telemetryOptions = {
  traceEndpoint: unset(
    'trace-endpoint',
    'an address that begins with http: or https:',
    'http://localhost:4318',
    'Where spans of traced messages are sent, by OTLP over HTTP (`/v1/traces` is added where there is no path); `none` traces nothing.',
  ),
  traceServiceName: text('trace-service-name', 'warren', 'a name', 'The `service.name` of those spans.'),
} as const satisfies Record<string, Option<unknown>>

/** As a sentence; null when all is well. */
export function traceEndpointProblem(endpoint: string): string | null {
  if (endpoint === 'none' || (URL.canParse(endpoint) && /^https?:$/.test(new URL(endpoint).protocol))) return null
  return `trace-endpoint = "${endpoint}" is no address; give one such as "http://localhost:4318", or "none"`
}
