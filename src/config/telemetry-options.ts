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
  traceHeaders: unset(
    'trace-headers',
    'names and values of headers',
    'see trace-headers-file',
    'Headers of the requests to `trace-endpoint`, as `name=value` with commas between and values percent-encoded. Never shown.',
  ),
  traceHeadersFile: unset(
    'trace-headers-file',
    'the path of a file',
    '/etc/warren/trace-headers',
    'A file with them instead, each on a line of its own if you like.',
  ),
  traceCa: unset(
    'trace-ca',
    'the path of a PEM file',
    '/etc/warren/collector-ca.pem',
    'Authorities that sign the certificate of the collector, instead of those that Node knows.',
  ),
} as const satisfies Record<string, Option<unknown>>
