/**
 * Every option of a node: name with unit, key, default, bounds, and what happens when a limit is reached.
 *
 * When you add one: a row here is all it takes for flag-less use (TOML and environment); give it to the part that
 * needs it in `daemon.ts`, and a row in `docs/configuration.md` (a test compares).
 */
import { accessOptions } from './access-options.ts'
import { clusterOptions } from './cluster-options.ts'
import { bytes, choice, duration, fraction, integer, type Option, port, text } from './option.ts'
import { telemetryOptions } from './telemetry-options.ts'

export const options = {
  host: text(
    'host',
    '*',
    'an address of this machine or "*" for all of them',
    'Where AMQP listens; `*` is every interface, IPv4 and IPv6.',
  ),
  port: port(
    'port',
    5_672,
    'TCP port for AMQP without TLS; 0 takes a free one, which is printed; `none` is none, for those with `tls-port`.',
  ),
  httpPort: port(
    'http-port',
    15_672,
    'TCP port for HTTP and AMQP over WebSocket; 0 takes a free one, which is printed; `none` is no HTTP.',
  ),
  prometheusPort: port(
    'prometheus-port',
    'none',
    'TCP port on which Prometheus reads `/metrics` without a login (RabbitMQ has 15692); 0 takes a free one.',
  ),
  httpOrigins: text(
    'http-origins',
    'same-host',
    '"same-host", "*", or origins such as "https://shop.example" with commas between them',
    'Web pages that may connect by WebSocket: those of the same host, all (`*`), or those named. All or those named may use the HTTP API as well, with a login.',
  ),
  dataDirectory: text(
    'data',
    './data',
    'the path of a directory',
    'Where everything is stored; made when it is missing.',
  ),
  definitions: text(
    'definitions',
    'none',
    'the path of a JSON file',
    'Definitions as RabbitMQ exports them, imported at each start; `none` is no file.',
  ),
  logLevel: choice(
    'log-level',
    ['debug', 'info', 'warn', 'error'],
    'info',
    'The least important log lines to write (to stderr).',
  ),
  logLevels: text(
    'log-levels',
    'none',
    'part=level with commas between, the parts being server, http, broker, log, cluster and audit',
    'Other levels for parts of the program: server, http, broker, log, cluster, audit.',
  ),
  auditLog: text(
    'audit-log',
    'none',
    'the path of a file',
    'Where logins and changes are written down, as JSON lines; `none`: among the other log lines.',
  ),
  auditedChanges: choice(
    'audit-amqp',
    ['none', 'changes', 'all'],
    'changes',
    'Which changes of queues, exchanges and bindings by AMQP are written down; `all`: exclusive queues and repeated declares too.',
  ),
  toldVersion: text(
    'told-version',
    '4.1.0',
    'a version such as RabbitMQ has',
    'The version clients are told; many compare it with those of RabbitMQ.',
  ),
  drainMsMax: duration(
    'drain-timeout',
    { default: '30s', min: '0s', max: '1h' },
    'How long a stop waits for clients to leave and for the log.',
  ),
  memoryWatermark: fraction(
    'memory.watermark',
    { default: 0.6, min: 0.05, max: 0.95 },
    'Share of the memory limit (container or machine) above which publishers are blocked.',
  ),
  entryBytesMax: bytes(
    'memory.entries',
    { default: '12MiB', min: '1MiB', max: '64GiB' },
    'What is known of waiting messages; above, long queues give up that of their middle and read it again.',
  ),
  transientBytesMax: bytes(
    'memory.transient',
    { default: '64MiB', min: '4MiB', max: '64GiB' },
    'Bodies of transient messages; above, they go to disk.',
  ),
  logCacheBytesMax: bytes(
    'memory.log-cache',
    { default: '16MiB', min: '4MiB', max: '64GiB' },
    'Pages of the log kept for those who read it.',
  ),
  diskFreeBytesMin: bytes(
    'disk.free-min',
    { default: '1GiB', min: '0B', max: '1024TiB' },
    'Free disk space below which publishers are blocked.',
  ),

  ...accessOptions,
  ...telemetryOptions,
  ...clusterOptions,

  uncommittedBytesMax: bytes(
    'limits.uncommitted',
    { default: '16MiB', min: '1MiB', max: '1GiB' },
    'Appended and not yet on disk; above, publishers are not read for a moment.',
  ),
  connectionsMax: integer(
    'limits.connections',
    { default: 65_536, min: 1, max: 1_000_000 },
    'Connections in all; a further one is closed at once.',
  ),
  unauthenticatedMax: integer(
    'limits.unauthenticated',
    { default: 4_096, min: 1, max: 1_000_000 },
    'Connections that have not logged in; a further one is closed at once.',
  ),
  unauthenticatedPerAddressMax: integer(
    'limits.unauthenticated-per-address',
    { default: 1_024, min: 1, max: 1_000_000 },
    'The same from one address.',
  ),
  handshakeMsMax: duration(
    'limits.handshake-timeout',
    { default: '10s', min: '100ms', max: '10min' },
    'From connect to an open vhost; then the connection is closed.',
  ),
  loginBytesMax: bytes(
    'limits.login-size',
    { default: '64KiB', min: '8KiB', max: '1MiB' },
    'What a connection may send before it has logged in; then it is closed.',
  ),
  failuresPerAddressMax: integer(
    'limits.failed-logins-per-address',
    { default: 20, min: 1, max: 1_000_000 },
    'Failed logins of one address in a minute; then it is refused until the minute is over.',
  ),
  failuresPerUserMax: integer(
    'limits.failed-logins-per-user',
    { default: 100, min: 1, max: 1_000_000 },
    'Failed logins of one user in a minute; then only addresses are let in that the user has come from before.',
  ),
  failedLoginDelayMs: duration(
    'limits.failed-login-delay',
    { default: '1s', min: '0s', max: '10s' },
    'How long the answer to a failed login is held back.',
  ),
  closeMsMax: duration(
    'limits.close-timeout',
    { default: '10s', min: '100ms', max: '10min' },
    'How long a client may take to answer a close.',
  ),
  frameBytesMax: bytes(
    'limits.frame-size',
    { default: '128KiB', min: '4KiB', max: '128KiB' },
    'Largest frame, offered to clients; a larger one ends the connection (501).',
  ),
  channelsMax: integer(
    'limits.channels-per-connection',
    { default: 2_047, min: 1, max: 65_535 },
    'Offered to clients; a higher channel number ends the connection (530).',
  ),
  heartbeatMs: duration(
    'limits.heartbeat',
    { default: '60s', min: '0s', max: '18h' },
    'Offered to clients, in whole seconds; 0s is none.',
  ),
  messageBytesMax: bytes(
    'limits.message-size',
    { default: '128MiB', min: '1KiB', max: '128MiB' },
    'Body of one message; a larger one closes the channel (406).',
  ),
  webSocketMessageBytesMax: bytes(
    'limits.websocket-message',
    { default: '16MiB', min: '128KiB', max: '256MiB' },
    'One message of a WebSocket, which may hold many frames; a larger one closes it (1009).',
  ),
  consumersPerChannelMax: integer(
    'limits.consumers-per-channel',
    { default: 16_384, min: 1, max: 1_000_000 },
    'A further one ends the connection (530).',
  ),
  unackedPerChannelMax: integer(
    'limits.unacked-per-channel',
    { default: 1_048_576, min: 1, max: 16_777_216 },
    'Deliveries that are not settled; then the channel gets none.',
  ),
  unconfirmedPerChannelMax: integer(
    'limits.unconfirmed-per-channel',
    { default: 1_048_576, min: 1, max: 16_777_216 },
    'Publishes that wait for their confirm; then the connection is not read.',
  ),
  transactionBytesMax: bytes(
    'limits.transaction-size',
    { default: '64MiB', min: '1KiB', max: '1GiB' },
    'What a transaction keeps until its commit; above, 406.',
  ),
  transactionEntriesMax: integer(
    'limits.transaction-entries',
    { default: 262_144, min: 1, max: 16_777_216 },
    'Publishes and acks of a transaction; above, 406.',
  ),
  parkedBytesMax: bytes(
    'limits.parked-input',
    { default: '1MiB', min: '128KiB', max: '1GiB' },
    'Input a connection keeps while a channel waits for an answer; then it is not read.',
  ),
  heldRepliesMax: integer(
    'limits.held-replies',
    { default: 4_096, min: 1, max: 1_048_576 },
    'Answers of a channel that wait for the disk; then the channel waits.',
  ),
  deliveryBytesMax: bytes(
    'limits.delivery-buffer',
    { default: '1MiB', min: '128KiB', max: '1GiB' },
    'Unread output of a connection above which its consumers get nothing.',
  ),
  outputBytesMax: bytes(
    'limits.output-buffer',
    { default: '4MiB', min: '128KiB', max: '1GiB' },
    'Unread output of a connection above which it is not read either.',
  ),
  returnedBytesMax: bytes(
    'limits.returned-size',
    { default: '16MiB', min: '64KiB', max: '128MiB' },
    'A mandatory message that goes back to its publisher; above, 406.',
  ),
} as const satisfies Record<string, Option<unknown>>

/** One frozen object with every option, units in the names. */
export type Config = { readonly [F in keyof typeof options]: (typeof options)[F] extends Option<infer T> ? T : never }
