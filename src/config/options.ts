/**
 * Every option of a node: name with unit, key, default, bounds, and what happens when a limit is reached.
 *
 * When you add one: a row here is all it takes for flag-less use (TOML and environment); give it to the part that
 * needs it in `daemon.ts`, and a row in `docs/configuration.md` (a test compares).
 */
import { bytes, choice, duration, fraction, integer, type Option, text } from './option.ts'

export const options = {
  host: text(
    'host',
    '*',
    'an address of this machine or "*" for all of them',
    'Where AMQP listens; `*` is every interface, IPv4 and IPv6.',
  ),
  port: integer(
    'port',
    { default: 5672, min: 0, max: 65535 },
    'TCP port for AMQP; 0 takes a free one, which is printed.',
  ),
  dataDirectory: text(
    'data',
    './data',
    'the path of a directory',
    'Where everything is stored; made when it is missing.',
  ),
  logLevel: choice(
    'log-level',
    ['debug', 'info', 'warn', 'error'],
    'info',
    'The least important log lines to write (to stderr).',
  ),
  drainMsMax: duration(
    'drain-timeout',
    { default: '30s', min: '0s', max: '1h' },
    'How long a stop waits for clients to leave and for the log.',
  ),
  memoryWatermark: fraction(
    'memory.watermark',
    { default: 0.6, min: 0.05, max: 0.95 },
    'Share of the memory limit (cgroup or RAM) above which publishers are blocked.',
  ),
  diskFreeBytesMin: bytes(
    'disk.free-min',
    { default: '1GiB', min: '0B', max: '1024TiB' },
    'Free disk space below which publishers are blocked.',
  ),
} as const satisfies Record<string, Option<unknown>>

/** One frozen object with every option, units in the names. */
export type Config = { readonly [F in keyof typeof options]: (typeof options)[F] extends Option<infer T> ? T : never }
